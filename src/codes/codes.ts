// Codes that prove a phone number: five minutes, five guesses, one use.
import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { isUniqueViolation } from '../db/failures.ts'
import type { Database } from '../db/schema.ts'
import { AppError } from '../errors.ts'
import type { Guess } from '../limits/limiter.ts'
import { visibleText } from '../typed-text.ts'
import { codeOf, newNonce } from './code-digits.ts'
import {
  type CodeName,
  countGuess,
  deleteCodesBefore,
  findCode,
  insertCode,
  replaceDeadCode,
  useCode,
} from './code-rows.ts'

export { type Purpose, purposes } from '../db/schema.ts'
export type { CodeName } from './code-rows.ts'

export const codeLifeMs = 5 * 60_000
export const maxGuesses = 5

/** Numbers whose code is fixed and never sent, for the reviewers of app stores. */
export interface TestNumbers {
  /** E.164 -> six digits. */
  readonly codes: ReadonlyMap<string, string>
  /** Milliseconds since 1970 UTC: from then on they are numbers like all others. */
  readonly until: number
}

/** A code to be sent. */
export interface PreparedCode {
  readonly code: string
  readonly expiresInMs: number
  /** Not to be sent: whoever uses the number knows the code. */
  readonly isTest: boolean
}

/** A code that was right. It counts when `use` says yes, in the transaction of what it proves. */
export interface RightCode {
  readonly use: (tx: Database) => Promise<boolean>
}

export interface CodesOptions {
  readonly db: Database
  readonly clock: Clock
  /** 256 bits. */
  readonly key: () => Promise<Buffer>
  readonly testNumbers: TestNumbers
}

export class Codes {
  readonly #db: Database
  readonly #clock: Clock
  readonly #readKey: () => Promise<Buffer>
  readonly #testNumbers: TestNumbers
  #key: Buffer | null = null

  constructor({ db, clock, key, testNumbers }: CodesOptions) {
    this.#db = db
    this.#clock = clock
    this.#readKey = key
    this.#testNumbers = testNumbers
  }

  /**
   * The code to be sent to a number: the one that is good, with the guesses that were counted, or a new one. How many guesses
   * a number has, over all of its codes, is for the limits to say.
   */
  async prepare(name: CodeName): Promise<PreparedCode> {
    for (;;) {
      const now = this.#clock.now()
      const fresh = freshCode(name, now)
      await replaceDeadCode(this.#db, fresh, maxGuesses)
      const row = await findCode(this.#db, name)
      if (!row) {
        await this.#insert(fresh)
        continue
      }
      const expiresInMs = row.expires_at - now
      // It ran out, or was used up, between the two statements.
      if (row.used_at !== null || row.guesses >= maxGuesses || expiresInMs <= 0) continue
      return { ...(await this.#expected(name, row.nonce, now)), expiresInMs }
    }
  }

  /** Whether a number has a fixed code that is never sent. */
  isTestNumber(phoneNumber: string): boolean {
    return this.#fixedCodeOf(phoneNumber, this.#clock.now()) !== null
  }

  /**
   * Counts a guess, then compares; what a person cannot see in a code, and spaces and hyphens, change nothing. A code bears five guesses of callers without a device proof. After them, or when the number or the
   * installation has seen too many (`full`), one right guess is not enough: the caller gets `code_wrong`, and the next code that this
   * caller gets right is accepted. So guessing on is hopeless, and a person who receives the messages is not kept out.
   * @throws AppError `code_wrong` for any reason: wrong, used, run out, none asked for, right for the first of two times
   */
  async check(name: CodeName, code: string, guess: Guess): Promise<RightCode> {
    const now = this.#clock.now()
    const row = await findCode(this.#db, name)
    const isOut = row !== null && row.used_at === null && row.expires_at > now
    const judged = await guess.count(isOut)
    const isCounted = judged === 'room' && (await countGuess(this.#db, name, now, maxGuesses))
    if (!isOut) throw new AppError('code_wrong')
    const expected = await this.#expected(name, row.nonce, now)
    if (!isSame(expected.code, digitsOf(code))) throw new AppError('code_wrong')
    const mayEnter = judged === 'reserved' || isCounted || (await guess.wasRightAgain(row.nonce))
    if (!mayEnter) throw new AppError('code_wrong')
    return { use: (tx) => useCode(tx, name, row.nonce, this.#clock.now()) }
  }

  /** Removes up to `limit` codes that ran out an hour before `now` and more, and returns how many. */
  async forgetOld(now: number, limit: number): Promise<number> {
    return await deleteCodesBefore(this.#db, now - 3_600_000, limit)
  }

  async #insert(fresh: ReturnType<typeof freshCode>): Promise<void> {
    try {
      await insertCode(this.#db, fresh)
    } catch (error) {
      // Somebody else asked for the first code of this number at the same moment.
      if (!isUniqueViolation(error)) throw error
    }
  }

  #fixedCodeOf(phoneNumber: string, now: number): string | null {
    const { codes, until } = this.#testNumbers
    return (now < until ? codes.get(phoneNumber) : undefined) ?? null
  }

  async #expected(name: CodeName, nonce: string, now: number): Promise<{ code: string; isTest: boolean }> {
    const fixed = this.#fixedCodeOf(name.phoneNumber, now)
    if (fixed !== null) return { code: fixed, isTest: true }
    this.#key ??= await this.#readKey()
    return { code: codeOf(this.#key, { ...name, nonce }), isTest: false }
  }
}

function freshCode({ phoneNumber, purpose }: CodeName, now: number) {
  return {
    phone_number: phoneNumber,
    purpose,
    nonce: newNonce(),
    guesses: 0,
    sent_at: now,
    expires_at: now + codeLifeMs,
    used_at: null,
  }
}

/** A code as it was sent, from how it was typed or pasted: `１２３ 456` -> `123456`. */
function digitsOf(code: string): string {
  return visibleText(code).replace(/[\s-]/g, '')
}

function isSame(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)]
  return a.length === b.length && timingSafeEqual(a, b)
}
