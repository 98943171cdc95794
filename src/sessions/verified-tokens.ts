// Tokens that were verified recently, each with its cache entry: SHA-256 and a cache lookup for each request
// would cost more than the rest of a check.

import type { CacheEntry } from '../session-cache/session-cache.ts'
import type { BearerLive } from './session.ts'
import type { TokenFacts } from './token-status.ts'

const maxTokens = 100_000

/** A verified token, and what belongs to it as long as its cache entry is valid. */
export interface VerifiedToken extends TokenFacts {
  /** The cache entry that was found, if any, and the live session. */
  readonly copy: CacheEntry
  readonly live: BearerLive
  /**
   * Whole seconds since 1970: until then only a change can end the session, and its use need not be noted.
   * (V8 keeps a small whole number in the object itself.)
   */
  recheckAt: number
  /**
   * The answer that a route made from `live`, kept for the next request, and the route that made it: an app
   * calls mostly one of them.
   */
  answer: string
  answeredBy: unknown
}

/**
 * The tokens are in this process's memory, and nowhere else. A lookup takes the same time however much of a
 * guess is right: the map compares a guess with a stored token only when their hashes, made with a secret of
 * the process, agree.
 */
export class VerifiedTokens {
  readonly #max: number
  readonly #proved = new Map<string, VerifiedToken>()

  constructor(max = maxTokens) {
    this.#max = max
  }

  get(token: string): VerifiedToken | undefined {
    return this.#proved.get(token)
  }

  add({ token, id, tokenHash }: TokenFacts & { token: string }, copy: CacheEntry, live: BearerLive): void {
    if (this.#proved.size >= this.#max && !this.#proved.has(token)) {
      const oldest = this.#proved.keys().next()
      if (!oldest.done) this.#proved.delete(oldest.value)
    }
    this.#proved.set(token, { id, tokenHash, copy, live, recheckAt: 0, answer: '', answeredBy: null })
  }

  delete(token: string): void {
    this.#proved.delete(token)
  }

  clear(): void {
    this.#proved.clear()
  }
}
