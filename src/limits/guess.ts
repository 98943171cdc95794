// A guess at a secret: what it is worth while others guess at the same number.
import { hash } from 'node:crypto'
import { isRefused, type RuleResult } from './rules.ts'
import type { LimitStore, Window } from './store.ts'
import { type LimitSubject, subjectOf } from './subjects.ts'

/**
 * What a guess is worth. `reserved`: the caller has a device proof, which has counters of its own. `allowed`:
 * one correct guess is enough. `full`: the number, or the installation, has had too many wrong guesses; a
 * code must then be correct twice, and a password is not compared.
 */
type GuessDecision = 'reserved' | 'allowed' | 'full'

/** One guess at a secret, which the caller's own counters have counted. */
export interface Guess {
  /**
   * Counts the guess in the counters that all callers share, before the comparison. Where there is nothing to
   * guess, it counts in a decoy counter, so that it costs the same work. Only the first call counts.
   * @throws AppError `unavailable`
   */
  count(isReal: boolean): Promise<GuessDecision>
  /**
   * For a guess that is not enough by itself: notes whether this caller's code was correct, and returns
   * whether the caller had another correct code before. The work is the same for a correct code, for a wrong
   * one, where no code was sent, and when a guess is repeated.
   * @throws AppError `unavailable`
   */
  isSecondCorrectCode(code: string, isRight: boolean): Promise<boolean>
  /**
   * Set after the comparison, before anything else that may fail: a wrong guess stays counted, even where its
   * event cannot be written.
   */
  isWrong: boolean
}

/**
 * How long a caller's correct code is remembered while the counters are full: longer than the longest time
 * between two messages.
 */
const correctOnce: readonly Window[] = [{ max: 1, ms: 12 * 3_600_000, backoffMs: [] }]

export interface CountedGuessOptions {
  readonly store: LimitStore
  readonly subject: LimitSubject
  /** Counts in the shared counters; null: this caller is not counted there. */
  readonly consume: (isReal: boolean) => Promise<readonly RuleResult[] | null>
}

/** Keeps what it has counted in the shared counters, for the refund of a correct guess. */
export class CountedGuess implements Guess {
  readonly #store: LimitStore
  readonly #consume: CountedGuessOptions['consume']
  readonly #correctOnceKey: string
  shared: readonly RuleResult[] = []
  isWrong = false
  #decision: Promise<GuessDecision> | null = null

  constructor({ store, subject, consume }: CountedGuessOptions) {
    this.#store = store
    this.#consume = consume
    this.#correctOnceKey = `right_once:${subjectOf('caller', subject)}`
  }

  async count(isReal: boolean): Promise<GuessDecision> {
    // A second comparison in the same attempt (after a concurrent change of the account) is not a second
    // guess.
    this.#decision ??= this.#count(isReal)
    return await this.#decision
  }

  async #count(isReal: boolean): Promise<GuessDecision> {
    const counted = await this.#consume(isReal)
    if (counted === null) return 'reserved'
    if (isRefused(counted)) return 'full'
    this.shared = counted
    return 'allowed'
  }

  async isSecondCorrectCode(code: string, isRight: boolean): Promise<boolean> {
    const guessed = hash('sha256', `${this.#correctOnceKey} ${code}`, 'base64url').slice(0, 22)
    const { waitMs } = await this.#store.consume(`guessed:${guessed}`, correctOnce)
    const isRepeated = waitMs > 0
    // Decoy keys: one for the first guess of a code, and one for its first repeat.
    const decoy = `${isRepeated ? 'repeated' : 'not_right'}:${guessed}`
    const noted = await this.#store.consume(
      isRight && !isRepeated ? this.#correctOnceKey : decoy,
      correctOnce,
    )
    return isRight && !isRepeated && noted.waitMs > 0
  }
}
