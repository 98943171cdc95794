// The parts of the JavaScript platform that the SDK uses, with its own types: those of Node or a browser are
// not needed.
import type { TransportRequest } from './transport.ts'

/** The AbortSignal type of the app's compilation; `unknown` where it has none. */
type Signal = typeof globalThis extends { AbortSignal: { prototype: infer S } } ? S : unknown

/**
 * The options that the SDK passes to `fetch`. No `cache: 'no-store'`: React Native's fetch would add a number
 * to the URL.
 */
export interface FetchInit {
  readonly method: TransportRequest['method']
  readonly headers: Record<string, string>
  readonly body?: string
  readonly redirect: 'manual' | 'follow'
  /** Only to find out whether the server can be reached, where the page may not read its responses. */
  readonly mode?: 'no-cors'
  readonly credentials: 'omit'
  readonly signal?: Signal
}

/** The members of a response that the SDK reads. */
export interface FetchAnswer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  text(): Promise<string>
}

/** The platform's `fetch`, or anything that behaves like it. */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchAnswer>

/** Returns the time in milliseconds since 1970-01-01 UTC. */
export interface Clock {
  now(): number
}

export const deviceClock: Clock = { now: () => Date.now() }

/** The event that browsers send to all other tabs. */
interface StorageChange {
  readonly storageArea?: unknown
  /** null: everything was removed. */
  readonly key?: string | null
}

interface Abortable {
  readonly signal: Signal
  abort(): void
}

// Bare names, because mini-programs pass them to their scripts without a global object. Read when they are
// needed, never written.
declare const fetch: Fetch
declare const AbortController: new () => Abortable
declare const location: { readonly origin?: unknown }
declare const addEventListener: (type: 'storage', listen: (event: StorageChange) => void) => void
declare const crypto: { getRandomValues(bytes: Uint8Array): unknown }
declare const console: { error(...facts: unknown[]): void }
declare const setTimeout: (task: () => void, ms: number) => unknown
declare const clearTimeout: (timer: unknown) => void

/** The platform's own `fetch`; null where there is none, as in mini-programs. */
export function findFetch(): Fetch | null {
  return typeof fetch === 'function' ? fetch : null
}

/** null where the platform cannot abort. */
export function newAbortController(): Abortable | null {
  return typeof AbortController === 'function' ? new AbortController() : null
}

/** The origin of the page, as browsers send it; null where there is no page. */
export function pageOrigin(): string | null {
  if (typeof location !== 'object' || typeof location.origin !== 'string') return null
  // A page from a file has no origin; browsers write it in two ways.
  return /^(null|file:.*)$/.test(location.origin) ? 'null' : location.origin
}

/**
 * Calls `onChange` when another tab has changed the SDK's values in the storage; never where there are no
 * tabs.
 */
export function onStorageEvent(storage: object, onChange: () => void): void {
  if (typeof addEventListener !== 'function') return
  addEventListener('storage', ({ storageArea, key }) => {
    if (storageArea === storage && (typeof key !== 'string' || /^hufu\b/.test(key))) onChange()
  })
}

/** Random bytes of the platform's secure source; null where it has none. */
export function platformRandom(count: number): Uint8Array | null {
  if (typeof crypto !== 'object' || typeof crypto.getRandomValues !== 'function') return null
  const bytes = new Uint8Array(count)
  crypto.getRandomValues(bytes)
  return bytes
}

/** Runs the task later. @returns a function that cancels it */
export function later(task: () => void, ms: number): () => void {
  const timer = setTimeout(task, ms)
  return () => clearTimeout(timer)
}

/** Reports an error to the developer that no call of the client can reject with. */
export function reportError(what: string, error: unknown): void {
  if (typeof console === 'object') console.error(`@hufu/sdk: ${what}:`, error)
}
