// Tokens that proved a live session lately, and what was found then: SHA-256 and looking up a copy for each request cost
// more than the rest of a check.

import type { CacheEntry } from '../session-cache/session-cache.ts'
import type { BearerLive } from './session.ts'
import type { TokenFacts } from './token-status.ts'

const maxTokens = 100_000

/** A token that proved a live session, and what goes with it as long as what was found then is still so. */
export interface VerifiedToken extends TokenFacts {
  /** The copy that was found then, if any, and the live session. */
  readonly copy: CacheEntry
  readonly live: BearerLive
  /**
   * Whole seconds since 1970: until then nothing but a change can end the session, and its use need not be noted. (V8 keeps a
   * small whole number in the object itself.)
   */
  recheckAt: number
  /** What a route said of `live`, kept for the next time, and by which route: apps ask one of them. */
  answer: string
  answeredBy: unknown
}

/**
 * They are in this process's memory, and nowhere else. Looking one up takes the same time however much of a guess is
 * right: the map compares a guess with a stored token only when the hashes of both, with a secret of the process, agree.
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
