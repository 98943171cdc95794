// HTTP as bytes: requests that no client library would send, and the responses of a connection in order.
import { connect, type Socket } from 'node:net'

export type Bytes = string | Buffer

export interface Reply {
  /** 0 if the connection ended without a response. */
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

const noReply: Reply = { status: 0, headers: {}, text: '' }
/** A response that takes longer never comes: no timeout in the server is longer. */
const lateMs = 30_000

/**
 * The first response in these bytes and where it ends; null while it is incomplete. 100 Continue is no
 * response.
 */
function takeReply(
  bytes: Buffer,
  { isHead = false, ended = false } = {},
): { reply: Reply; length: number } | null {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return null
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1])
  const rest = bytes.subarray(end + 4)
  if (status === 100) {
    const next = takeReply(rest, { isHead, ended })
    return next && { reply: next.reply, length: end + 4 + next.length }
  }
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  // Without valid HTTP, a HEAD is not recognised: the response then has a body, and no id.
  const isBelow = headers['x-request-id'] === undefined && headers['content-length'] !== undefined
  const isEmpty = status === 204 || status === 304 || (isHead && !isBelow)
  const body = isEmpty ? { text: '', length: 0 } : takeBody(rest, headers, ended)
  return body && { reply: { status, headers, text: body.text }, length: end + 4 + body.length }
}

function takeBody(rest: Buffer, headers: Reply['headers'], ended: boolean) {
  if (headers['transfer-encoding'] === 'chunked') return takeChunks(rest)
  const announced = headers['content-length']
  if (announced === undefined && !ended) return null
  const length = announced === undefined ? rest.length : Number(announced)
  // After the end of the connection, no more bytes come.
  if (rest.length < length && !ended) return null
  return { text: rest.toString('utf8', 0, length), length }
}

function takeChunks(rest: Buffer): { text: string; length: number } | null {
  const parts: Buffer[] = []
  for (let at = 0; ; ) {
    const end = rest.indexOf('\r\n', at)
    if (end < 0) return null
    const size = Number.parseInt(rest.toString('latin1', at, end), 16)
    const next = end + 2 + size + 2
    if (rest.length < next) return null
    if (size === 0) return { text: Buffer.concat(parts).toString('utf8'), length: next }
    parts.push(rest.subarray(end + 2, end + 2 + size))
    at = next
  }
}

/**
 * Writes bytes to a new connection and reads until the server closes it. `end`: half-closes it after the
 * bytes.
 */
export function send({ url }: { url: string }, request: Bytes, { end = false } = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    const chunks: Buffer[] = []
    const late = setTimeout(() => {
      socket.destroy()
      reject(new Error(`still open after 5 s, having said: ${Buffer.concat(chunks)}`))
    }, 5_000)
    socket.on('data', (chunk) => chunks.push(chunk))
    // A server that has refused does not read the rest: the response has still arrived.
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(late)
      resolve(takeReply(Buffer.concat(chunks), { ended: true })?.reply ?? noReply)
    })
    if (end) socket.end(request)
    else socket.write(request)
  })
}

/** A persistent connection. */
export class RawConnection {
  /** Settles when the connection is closed by either side. */
  readonly whenClosed: Promise<void>
  readonly #socket: Socket
  #bytes: Buffer = Buffer.alloc(0)
  #ended = false
  #wake: () => void = () => {}

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
      this.#wake()
    })
    socket.on('error', () => {})
    this.whenClosed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#ended = true
        this.#wake()
        resolve()
      })
    })
  }

  static async open({ url }: { url: string }): Promise<RawConnection> {
    const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', noDelay: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RawConnection(socket)
  }

  write(bytes: Bytes): void {
    this.#socket.write(bytes)
  }

  /** The next response; null if the connection ended before it was complete. */
  async answer({ isHead = false } = {}): Promise<Reply | null> {
    for (;;) {
      const taken = takeReply(this.#bytes, { isHead })
      if (taken) {
        this.#bytes = this.#bytes.subarray(taken.length)
        return taken.reply
      }
      if (this.#ended) {
        // A body without a length ends with the connection (RFC 9112, section 6.3).
        const last = takeReply(this.#bytes, { isHead, ended: true })
        return last?.reply.headers['content-length'] === undefined ? (last?.reply ?? null) : null
      }
      await this.#more()
    }
  }

  /** The received bytes that form no response yet. */
  get unread(): string {
    return this.#bytes.toString('latin1')
  }

  #more(): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('no answer, and the connection is open')), lateMs)
      this.#wake = () => {
        clearTimeout(late)
        resolve()
      }
    })
  }

  /** Half-closes the connection. */
  end(bytes: Bytes = ''): void {
    this.#socket.end(bytes)
  }

  /** Stops reading: further data stays in the buffers between the two. */
  stopReading(): void {
    this.#socket.pause()
  }

  goOnReading(): void {
    this.#socket.resume()
  }

  /** Ends it with RST, like a phone that comes back after losing its network. */
  async reset(): Promise<void> {
    this.#socket.resetAndDestroy()
    await this.whenClosed
  }

  async close(): Promise<void> {
    this.#socket.destroy()
    await this.whenClosed
  }
}
