// What the SDK uses of the JavaScript it runs in, in words of its own: no types of Node or of a browser are needed.

/** The AbortSignal of wherever the SDK is compiled into; `unknown` where that knows none. */
export type Signal = typeof globalThis extends { AbortSignal: { prototype: infer S } } ? S : unknown

/**
 * What the SDK asks of `fetch`: a redirect is an answer, and cookies are not sent. The server itself forbids caches, and
 * `cache: 'no-store'` would make React Native's fetch put a number into the URL.
 */
export interface FetchInit {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly headers: Record<string, string>
  readonly body?: string
  readonly redirect: 'manual'
  readonly credentials: 'omit'
  readonly signal?: Signal
}

/** What the SDK reads of an answer. */
export interface FetchAnswer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  text(): Promise<string>
}

/** The platform's `fetch`, or anything that behaves like it. */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchAnswer>

/** Tells the time in milliseconds since 1970-01-01 UTC. */
export interface Clock {
  now(): number
}

interface Runtime {
  readonly fetch?: Fetch
  readonly AbortController?: new () => { readonly signal: Signal; abort(): void }
  readonly console?: { error(...facts: unknown[]): void }
  setTimeout(task: () => void, ms: number): unknown
  clearTimeout(timer: unknown): void
}

// Every JavaScript that has a network has timers; whatever may be missing is optional above. Read, never written.
export const runtime = globalThis as unknown as Runtime
