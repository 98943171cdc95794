// Logs that a client speaks another protocol to the port of plain HTTP/1.1: the client only sees that its
// connection ends.
import type { Socket } from 'node:net'

/** `proxy`: the PROXY protocol of HAProxy, which comes before the first request. */
export type ForeignProtocol = 'tls' | 'http2' | 'proxy'

/** A mistake in the settings of a proxy makes every connection fail: one line a minute is enough. */
const logEveryMs = 60_000

/** RFC 8446, section 5.1: a record of type handshake, version 3.x. */
const tlsHandshake = Buffer.from([0x16, 3])
/** RFC 9113, section 3.4. */
const http2Preface = Buffer.from('PRI * HTTP/2.0\r\n')
/** https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, sections 2.1 and 2.2. */
const proxyV1 = Buffer.from('PROXY ')
const proxyV2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n')

/**
 * What begins with these bytes; null: none of them. One byte is enough for TLS, because no HTTP begins with
 * it.
 */
export function foreignProtocolOf(bytes: Buffer): ForeignProtocol | null {
  if (bytes.length > 0 && startsWith(bytes, tlsHandshake.subarray(0, bytes.length))) return 'tls'
  if (startsWith(bytes, http2Preface)) return 'http2'
  return startsWith(bytes, proxyV1) || startsWith(bytes, proxyV2) ? 'proxy' : null
}

function startsWith(bytes: Buffer, beginning: Buffer): boolean {
  return bytes.subarray(0, beginning.length).equals(beginning)
}

/** Where the line goes. */
export interface ForeignProtocolLog {
  /** `peer` is missing where the connection is closed already. */
  foreignProtocol(protocol: ForeignProtocol, peer: string | undefined): void
}

export class ForeignProtocols {
  readonly #log: ForeignProtocolLog
  readonly #now: () => number
  readonly #loggedAt = new Map<ForeignProtocol, number>()

  /** @param now milliseconds of a clock that is never set */
  constructor(log: ForeignProtocolLog, now: () => number = () => performance.now()) {
    this.#log = log
    this.#now = now
  }

  /**
   * Logs the protocol of what Node's parser could not read, if it is known. Fastify's type of `rawPacket` is
   * that of a Buffer as JSON.
   */
  logFrom({ rawPacket }: { readonly rawPacket?: unknown }, socket: Pick<Socket, 'remoteAddress'>): void {
    const protocol = Buffer.isBuffer(rawPacket) ? foreignProtocolOf(rawPacket) : null
    if (protocol === null) return
    const now = this.#now()
    const loggedAt = this.#loggedAt.get(protocol)
    if (loggedAt !== undefined && now < loggedAt + logEveryMs) return
    this.#loggedAt.set(protocol, now)
    this.#log.foreignProtocol(protocol, socket.remoteAddress)
  }
}
