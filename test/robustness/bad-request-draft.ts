// A request that is being spoilt: its parts, as text that may be wrong in any way.

/** Numbers that look random and come again with the same seed (mulberry32). */
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

/** What the requests speak of. */
export interface World {
  /** Live tokens of people who do nothing but ask badly. */
  readonly tokens: readonly string[]
  /** Theirs too, for what ends sessions: the others live longer, and get further. */
  readonly spareTokens: readonly string[]
  /** Tokens that were good. */
  readonly endedTokens: readonly string[]
  /** Public ids of sessions: of those people, of others, ended ones. */
  readonly sessionIds: readonly string[]
  /** The numbers of those people, and of one whom none of this may affect. */
  readonly phones: readonly string[]
}

/** A route, as the document describes it. */
export interface Route {
  readonly method: string
  /** With `{id}` in it. */
  readonly path: string
  readonly token: 'bearer' | 'classic' | 'none'
  readonly query: readonly string[]
  /** Good bodies; none for a route that takes no body. */
  readonly bodies: readonly unknown[]
}

/**
 * JSON as text and not as values, so that it can be wrong in any way: a key may come twice, a value may be no
 * JSON.
 */
export type Json = { pairs: [key: string, value: Json][] } | { items: Json[] } | { text: string }

/** A request that is being spoilt. */
export interface Draft {
  readonly route: Route
  method: string
  target: string
  query: string
  version: string
  headers: [name: string, value: string][]
  body: Json | null
  /** Changes the bytes of the body after all else. */
  encode: (text: string) => Buffer
  /** 'announced': with its true length. Anything else is headers and a body that contradict each other. */
  framing: 'announced' | 'chunked' | { headers: [string, string][]; body: (bytes: Buffer) => Buffer }
  /** Nothing may come behind it: the server may end the connection, or read on into what comes. */
  isLast: boolean
  /** What was done to it. */
  readonly done: string[]
}

/** As it is sent. */
export function textOf(json: Json): string {
  if ('text' in json) return json.text
  if ('items' in json) return `[${json.items.map(textOf).join(',')}]`
  return `{${json.pairs.map(([key, value]) => `${key}:${textOf(value)}`).join(',')}}`
}

/** In chunks of seven bytes, the first of them with an extension. */
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
