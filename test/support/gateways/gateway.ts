// A text message gateway for tests: a real HTTP server that authenticates callers, records accepted messages,
// and can fail.
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'

/** A request as it was received. */
export interface WireRequest {
  readonly method: string
  readonly url: URL
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

export interface WireAnswer {
  readonly status: number
  readonly body: string
  readonly headers?: Record<string, string>
}

/** A message as a gateway parses it. */
export interface TakenMessage {
  readonly to: string
  /** Template parameters or free text. */
  readonly content: unknown
  /** Hufu's id for it, where the gateway has a field for that. */
  readonly id: string | null
}

/** The behaviour of a kind of gateway. */
export interface GatewayKind {
  /** The vendor's response to a request that is not signed correctly; null if it is. */
  refuseStranger(request: WireRequest): WireAnswer | null
  read(request: WireRequest): TakenMessage
  accepted(count: number): WireAnswer
  /** The vendor's body for one of its codes. */
  refused(code: string): WireAnswer
}

/** Failures of the network and its machines after a request has arrived. */
export type Fault =
  | 'says_nothing'
  | 'half_an_answer'
  | 'breaks_the_connection'
  | 'not_json'
  | 'not_utf8'
  | 'no_members'
  | 'huge'
  | 'server_error'
  | 'redirect'

export class FakeGateway {
  readonly url: string
  /** Requests that arrived, signed or not. */
  readonly requests: WireRequest[] = []
  /** Messages that a real gateway would have passed on to the carrier, or may have. */
  readonly taken: TakenMessage[] = []
  /** The reaction to the next signed requests: accept, refuse with a vendor's code, or fail. */
  behaviour: { refuse: string; headers?: Record<string, string> } | { fault: Fault } | 'take' = 'take'
  readonly #server: http.Server
  readonly #kind: GatewayKind

  private constructor(server: http.Server, kind: GatewayKind) {
    this.#server = server
    this.#kind = kind
    // A server that listens on TCP has such an address.
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (request, response) => void this.#answer(request, response))
  }

  static async start(kind: GatewayKind): Promise<FakeGateway> {
    const server = http.createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new FakeGateway(server, kind)
  }

  reset(): void {
    this.requests.length = 0
    this.taken.length = 0
    this.behaviour = 'take'
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const request: WireRequest = {
      method: incoming.method ?? '',
      url: new URL(incoming.url ?? '/', this.url),
      headers: incoming.headers,
      body: await text(incoming),
    }
    this.requests.push(request)
    const stranger = this.#kind.refuseStranger(request)
    if (stranger) {
      write(response, stranger)
    } else if (this.behaviour !== 'take' && 'refuse' in this.behaviour) {
      const { refuse, headers = {} } = this.behaviour
      const answer = this.#kind.refused(refuse)
      write(response, { ...answer, headers: { ...answer.headers, ...headers } })
    } else {
      // Whatever the caller sees, the message is sent.
      this.taken.push(this.#kind.read(request))
      const good = this.#kind.accepted(this.taken.length)
      if (this.behaviour === 'take') write(response, good)
      else fail(response, this.behaviour.fault, good)
    }
  }
}

function write(response: http.ServerResponse, { status, body, headers }: WireAnswer): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
}

function fail(response: http.ServerResponse, fault: Fault, good: WireAnswer): void {
  switch (fault) {
    case 'says_nothing':
      break
    case 'half_an_answer':
      response.writeHead(good.status, { 'content-type': 'application/json' })
      response.write(good.body.slice(0, good.body.length / 2))
      break
    case 'breaks_the_connection':
      response.socket?.destroy()
      break
    case 'not_json':
      write(response, { status: good.status, body: '<html>欢迎使用</html>' })
      break
    case 'not_utf8':
      response.writeHead(good.status)
      response.end(Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]))
      break
    case 'no_members':
      write(response, { status: good.status, body: '[]' })
      break
    case 'huge':
      // An endless body: only a reader that stops gets past it.
      endless(response, good)
      break
    case 'server_error':
      write(response, { status: 502, body: '<html>Bad Gateway</html>' })
      break
    case 'redirect':
      write(response, { status: 307, body: '', headers: { location: '/elsewhere' } })
  }
}

function endless(response: http.ServerResponse, { status }: WireAnswer): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  const chunk = Buffer.alloc(64 * 1024, 'x')
  const chunks = new Readable({ read: () => void chunks.push(chunk) })
  pipeline(chunks, response, () => {})
}
