// Tokens that proved a live session lately, and what was found then: SHA-256 and looking up a copy for each request cost
// more than the rest of a check.
import type { Found } from './copies.ts'
import type { Live } from './session.ts'

const maxTokens = 100_000

export interface TokenParts {
  /** The public id of the session. */
  readonly id: string
  readonly tokenHash: string
}

export interface ProvedToken extends TokenParts {
  /** The copy that was found then, and what it said; null: nothing that stays. */
  readonly copy: Found | null
  readonly live: Live | null
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

  add({ token, id, tokenHash }: TokenParts & { token: string }, copy: Found | null, live: Live | null): void {
    if (this.#proved.size >= this.#max && !this.#proved.has(token)) {
      const oldest = this.#proved.keys().next()
      if (!oldest.done) this.#proved.delete(oldest.value)
    }
    this.#proved.set(token, { id, tokenHash, copy, live })
  }

  delete(token: string): void {
    this.#proved.delete(token)
  }
}
