// A draft of a bad request: the parts of a request, as text that mutations can change in any way.

/** Pseudo-random numbers, the same for the same seed (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number, n: number) {
    this.#state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(n + 1, 0xc2b2ae35)) >>> 0
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }

  chance(percent: number): boolean {
    return this.below(1000) < percent * 10
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new Error('there is nothing to pick from')
    return item
  }
}

/** The values that requests refer to. */
export interface World {
  /** Tokens of live sessions. */
  readonly tokens: readonly string[]
  /** More of them, for requests that end sessions, so that those of `tokens` stay live for longer. */
  readonly spareTokens: readonly string[]
  /** Tokens of ended sessions. */
  readonly endedTokens: readonly string[]
  /** Public ids of sessions: live, ended, of another account, and invalid ones. */
  readonly sessionIds: readonly string[]
  /** The numbers of these accounts, and of one that no request may affect. */
  readonly phones: readonly string[]
}

/** A route of `/openapi.json`. */
export interface Route {
  readonly method: string
  /** With `{id}` for a parameter. */
  readonly path: string
  readonly token: 'bearer' | 'classic' | 'none'
  readonly query: readonly string[]
  /** The examples of its body; none for a route that takes no body. */
  readonly bodies: readonly unknown[]
}

/**
 * JSON as text instead of values, so that it can be invalid in any way: a key may occur twice, a value may
 * not be JSON.
 */
export type Json = { pairs: [key: string, value: Json][] } | { items: Json[] } | { text: string }

/** A request before and between its mutations. */
export interface Draft {
  readonly route: Route
  method: string
  target: string
  query: string
  version: string
  headers: [name: string, value: string][]
  body: Json | null
  /** Encodes the body, after all other changes. */
  encode: (text: string) => Buffer
  /**
   * 'announced': with the right Content-Length. An object has headers and a body that contradict each other.
   */
  framing: 'announced' | 'chunked' | { headers: [string, string][]; body: (bytes: Buffer) => Buffer }
  /**
   * No request may follow on this connection: the server may close it, or read the next request as a part.
   */
  isLast: boolean
  /** The names of the mutations so far. */
  readonly mutations: string[]
}

/** The JSON text. */
export function textOf(json: Json): string {
  if ('text' in json) return json.text
  if ('items' in json) return `[${json.items.map(textOf).join(',')}]`
  return `{${json.pairs.map(([key, value]) => `${key}:${textOf(value)}`).join(',')}}`
}

/** The body in chunks of seven bytes, of which the first has an extension. */
export function chunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 7) {
    const chunk = bytes.subarray(at, at + 7)
    parts.push(
      Buffer.from(`${chunk.length.toString(16)}${at === 0 ? ';a=b' : ''}\r\n`),
      chunk,
      Buffer.from('\r\n'),
    )
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')])
}
