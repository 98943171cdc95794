// Codes that verify a phone number: valid for five minutes after their last message, for five guesses and one
// use.
import type { Clock } from '../clock.ts'
import { isSameText } from '../constant-time.ts'
import { isUniqueViolation } from '../database/failures.ts'
import type { Database } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import type { Guess } from '../limits/guess.ts'
import { randomText } from '../random-text.ts'
import { visibleText } from '../typed-text.ts'
import { codeOf } from './code-digits.ts'
import {
  type CodeName,
  countGuess,
  deleteCodesBefore,
  extendCode,
  findCode,
  insertCode,
  replaceCode,
  type StoredCode,
  touchCode,
  useCode,
} from './code-rows.ts'

export type { CodeName } from './code-rows.ts'

/** How long a code is valid after the last message that contained it. */
export const codeLifeMs = 5 * 60_000
/** How long further messages repeat a code. A code is therefore valid for ten minutes at most. */
const resentForMs = 5 * 60_000
const maxGuesses = 5

/** Numbers whose code is fixed and never sent, for the reviewers of app stores. */
export interface TestNumbers {
  /** E.164 number to six digits. */
  readonly codes: ReadonlyMap<string, string>
  /** Milliseconds since 1970 UTC: from this time on they are ordinary numbers. */
  readonly until: number
}

/** A code that is ready to be sent. */
export interface PreparedCode {
  readonly code: string
  /** The code is not sent, because the user of this number knows it. */
  readonly isTest: boolean
}

/**
 * A correct code. It is accepted only when `use` returns true, in the transaction of the write that it
 * authorises.
 */
export interface RightCode {
  readonly use: (tx: Database) => Promise<boolean>
}

export interface CodesOptions {
  readonly db: Database
  readonly clock: Clock
  /** 256 bits. Called for every request, whether or not it needs the key. */
  readonly key: () => Promise<Buffer>
  readonly testNumbers: TestNumbers
}

export class Codes {
  readonly #db: Database
  readonly #clock: Clock
  readonly #readKey: () => Promise<Buffer>
  readonly #testNumbers: TestNumbers

  constructor({ db, clock, key, testNumbers }: CodesOptions) {
    this.#db = db
    this.#clock = clock
    this.#readKey = key
    this.#testNumbers = testNumbers
  }

  /**
   * The code to send to a number, valid for `codeLifeMs` from now: the valid code, with its guesses counted,
   * or a new one where that one is used up or too old for another period. The limits bound the guesses at a
   * number, over all of its codes.
   */
  async prepare(name: CodeName): Promise<PreparedCode> {
    const key = await this.#readKey()
    for (;;) {
      const now = this.#clock.now()
      // The read comes first, so that each case is one write.
      const stored = await findCode(this.#db, name)
      const fresh = freshCode(now)
      if (!stored) {
        if (await this.#insert(name, fresh)) return this.#expected(key, { ...name, nonce: fresh.nonce }, now)
      } else if (mayBeResent(stored, now)) {
        if (await this.#extend(name, now)) return this.#expected(key, { ...name, nonce: stored.nonce }, now)
      } else if (await replaceCode(this.#db, name, { nonce: stored.nonce, by: fresh })) {
        return this.#expected(key, { ...name, nonce: fresh.nonce }, now)
      }
      // Another request wrote between the read and the write.
    }
  }

  /**
   * For a request that sends no message, because one is on its way or there is no recipient. A code that was
   * sent stays valid for `codeLifeMs` from now, within its ten minutes; without one, no code is made. Both
   * cases are one read and one write, as for a message.
   */
  async prepareDecoy(name: CodeName): Promise<void> {
    await this.#readKey()
    const now = this.#clock.now()
    const stored = await findCode(this.#db, name)
    if (stored && mayBeResent(stored, now)) await this.#extend(name, now)
    else await this.#writeDecoy(name, stored, now)
  }

  /**
   * One write that changes no code's validity. Never fails: a deadlock with a sign-in by this code must not
   * refuse a request.
   */
  async #writeDecoy(name: CodeName, stored: StoredCode | null, now: number): Promise<void> {
    const dead = { ...freshCode(now), expiresAt: now, usedAt: now }
    await (stored ? touchCode(this.#db, name) : this.#insert(name, dead)).catch(() => {})
  }

  /** Whether the number has a fixed code, which is never sent. */
  isTestNumber(phoneNumber: string): boolean {
    return this.#fixedCodeOf(phoneNumber, this.#clock.now()) !== null
  }

  /**
   * Counts a guess, then compares. Invisible characters, spaces and hyphens in a code do not matter. A code
   * allows five guesses by callers without a device proof. After them, or when the number or the installation
   * has had too many (`full`), one correct guess is not enough: the caller gets `code_wrong`, and the
   * caller's next correct code is accepted. So further guessing is hopeless, and the person that receives the
   * messages can still sign in.
   *
   * A `fingerprint` identifies a sign-in that has an idempotency key, with its code. Its tries in a row are
   * one guess: a client that lost the response of the fifth guess repeats it while the first try is still
   * under way.
   * @throws AppError `code_wrong` for any reason: wrong, used, expired, never requested, or correct for the
   * first of two times
   */
  async check(
    name: CodeName,
    code: string,
    guess: Guess,
    fingerprint: string | null = null,
  ): Promise<RightCode> {
    const key = await this.#readKey()
    const now = this.#clock.now()
    const stored = await findCode(this.#db, name)
    const isReal = stored !== null && isOutstanding(stored, now)
    const decision = await guess.count(isReal)
    const counted = { fingerprint, now, maxGuesses }
    const isCounted = isReal && decision === 'allowed' && (await countGuess(this.#db, name, counted))
    // On SQLite a write takes much longer than a read: without this write, the time would reveal whether a
    // code is valid.
    if (!isCounted) await this.#writeDecoy(name, stored, now)
    const given = digitsOf(code)
    const isRight =
      isReal && isSameText(this.#expected(key, { ...name, nonce: stored.nonce }, now).code, given)
    const isEnough = isRight && (decision === 'reserved' || isCounted)
    guess.isWrong = !isEnough
    // Called for a wrong guess too: otherwise the time would reveal a correct guess, and both codes could be
    // found one by one.
    const isAccepted =
      isEnough || (decision !== 'reserved' && (await guess.isSecondCorrectCode(given, isRight)))
    guess.isWrong = !isAccepted
    if (!isAccepted || !isReal) throw new AppError('code_wrong')
    return { use: (tx) => useCode(tx, name, stored.nonce, this.#clock.now()) }
  }

  /** Deletes up to `limit` codes that expired an hour or more before `now`, and returns how many. */
  async deleteExpired(now: number, limit: number): Promise<number> {
    return await deleteCodesBefore(this.#db, now - 3_600_000, limit)
  }

  /** False where another request inserted the first code of this number meanwhile. */
  async #insert(name: CodeName, fresh: StoredCode): Promise<boolean> {
    try {
      await insertCode(this.#db, name, fresh)
      return true
    } catch (error) {
      if (!isUniqueViolation(error)) throw error
      return false
    }
  }

  async #extend(name: CodeName, now: number): Promise<boolean> {
    const until = now + codeLifeMs
    return await extendCode(this.#db, name, { now, until, madeAfter: now - resentForMs, maxGuesses })
  }

  #fixedCodeOf(phoneNumber: string, now: number): string | null {
    const { codes, until } = this.#testNumbers
    return (now < until ? codes.get(phoneNumber) : undefined) ?? null
  }

  #expected(key: Buffer, name: CodeName & { readonly nonce: string }, now: number): PreparedCode {
    const fixed = this.#fixedCodeOf(name.phoneNumber, now)
    if (fixed !== null) return { code: fixed, isTest: true }
    return { code: codeOf(key, name), isTest: false }
  }
}

/** Whether a code can still be used: it is neither used nor expired. */
function isOutstanding({ usedAt, expiresAt }: StoredCode, now: number): boolean {
  return usedAt === null && expiresAt > now
}

/** Whether the next message contains the same code again. */
function mayBeResent(stored: StoredCode, now: number): boolean {
  return isOutstanding(stored, now) && stored.guesses < maxGuesses && stored.sentAt >= now - resentForMs
}

function freshCode(now: number): StoredCode {
  return { nonce: randomText(32), guesses: 0, sentAt: now, expiresAt: now + codeLifeMs, usedAt: null }
}

/** The digits of a code that was typed or pasted: `１２３ 456` becomes `123456`. */
export function digitsOf(code: string): string {
  return visibleText(code).replace(/[\s-]/g, '')
}
