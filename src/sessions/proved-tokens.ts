// Tokens that proved a live session lately, and what was found then: SHA-256 and looking up a copy for each request cost
// more than the rest of a check.
import type { Found } from './copies.ts'
import type { BearerLive } from './session.ts'

const maxTokens = 100_000

export interface TokenParts {
  /** The public id of the session. */
  readonly id: string
  readonly tokenHash: string
}

/** A token that proved a live session, and what goes with it as long as what was found then is still so. */
export interface ProvedToken extends TokenParts {
  /** The copy that was found then, if any, and the live session. */
  readonly copy: Found
  readonly live: BearerLive
  /**
   * Whole seconds since 1970: until then nothing but a change can end the session, and its use need not be noted. (V8 keeps a
   * small whole number in the object itself.)
   */
  quietUntil: number
  /** What a route said of `live`, kept for the next time, and by which route: apps ask one of them. */
  answer: string
  answeredBy: unknown
}

/**
 * They are in this process's memory, and nowhere else. Looking one up takes the same time however much of a guess is
 * right: the map compares a guess with a stored token only when the hashes of both, with a secret of the process, agree.
 */
export class ProvedTokens {
  readonly #max: number
  readonly #proved = new Map<string, ProvedToken>()

  constructor(max = maxTokens) {
    this.#max = max
  }

  get(token: string): ProvedToken | undefined {
    return this.#proved.get(token)
  }

  add({ token, id, tokenHash }: TokenParts & { token: string }, copy: Found, live: BearerLive): void {
    if (this.#proved.size >= this.#max && !this.#proved.has(token)) {
      const oldest = this.#proved.keys().next()
      if (!oldest.done) this.#proved.delete(oldest.value)
    }
    this.#proved.set(token, { id, tokenHash, copy, live, quietUntil: 0, answer: '', answeredBy: null })
  }

  delete(token: string): void {
    this.#proved.delete(token)
  }

  clear(): void {
    this.#proved.clear()
  }
}
