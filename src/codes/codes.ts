// Codes that prove a phone number: five minutes from their last message, five guesses, one use.
import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { isUniqueViolation } from '../database/failures.ts'
import type { CodesTable, Database } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import type { Guess } from '../limits/limiter.ts'
import { visibleText } from '../typed-text.ts'
import { codeOf, newNonce } from './code-digits.ts'
import {
  type CodeName,
  countGuess,
  deleteCodesBefore,
  extendCode,
  findCode,
  insertCode,
  replaceCode,
  touchCode,
  useCode,
} from './code-rows.ts'

export { type Purpose, purposes } from '../database/schema.ts'
export type { CodeName } from './code-rows.ts'

/** How long a code is good after the last message that carried it. */
export const codeLifeMs = 5 * 60_000
/**
 * How long a code is carried again by further messages. After the last of them it is ten minutes old at most.
 */
const carriedForMs = 5 * 60_000
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
  /** The code is not sent: the person that uses this number knows it. */
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
   * The code to be sent to a number, good for `codeLifeMs` from now: the one that is good, with the guesses
   * that were counted, or a new one where that one is used up or too old to be good for so long. How many
   * guesses a number has, over all of its codes, is for the limits to say.
   */
  async prepare(name: CodeName): Promise<PreparedCode> {
    for (;;) {
      const now = this.#clock.now()
      // The read comes first, so that each way is one write.
      const row = await findCode(this.#db, name)
      const fresh = freshCode(name, now)
      if (!row) {
        if (await this.#insert(fresh)) return await this.#expected(name, fresh.nonce, now)
      } else if (isToBeCarried(row, now)) {
        if (await this.#extend(name, now)) return await this.#expected(name, row.nonce, now)
      } else if (await replaceCode(this.#db, row.nonce, fresh)) {
        return await this.#expected(name, fresh.nonce, now)
      }
      // Another request came between the read and the write.
    }
  }

  /**
   * For a request that sends no message: one is under way, or there is nobody to send it to. A code that is
   * out stays good for `codeLifeMs` from now, within its ten minutes; where none is out, none is made. Either
   * way it is one read and one write, as for a message.
   */
  async prepareNothing(name: CodeName): Promise<void> {
    const now = this.#clock.now()
    const row = await findCode(this.#db, name)
    if (row && isToBeCarried(row, now)) await this.#extend(name, now)
    else await this.#writeNothing(name, row, now)
  }

  /**
   * One write that makes no code good, and none bad. Never fails: a deadlock with a sign-in by this code must
   * refuse nobody.
   */
  async #writeNothing(name: CodeName, row: CodesTable | null, now: number): Promise<void> {
    const dead = { ...freshCode(name, now), expires_at: now, used_at: now }
    await (row ? touchCode(this.#db, name) : this.#insert(dead)).catch(() => {})
  }

  /** Whether a number has a fixed code that is never sent. */
  isTestNumber(phoneNumber: string): boolean {
    return this.#fixedCodeOf(phoneNumber, this.#clock.now()) !== null
  }

  /**
   * Counts a guess, then compares; what a person cannot see in a code, and spaces and hyphens, change
   * nothing. A code bears five guesses of callers without a device proof. After them, or when the number or
   * the installation has seen too many (`full`), one right guess is not enough: the caller gets `code_wrong`,
   * and the next code that this caller gets right is accepted. So guessing on is hopeless, and a person who
   * receives the messages is not kept out.
   * @throws AppError `code_wrong` for any reason: wrong, used, run out, none asked for, right for the first
   * of two times
   */
  async check(name: CodeName, code: string, guess: Guess): Promise<RightCode> {
    const now = this.#clock.now()
    const row = await findCode(this.#db, name)
    const isReal = row !== null && isOut(row, now)
    const judged = await guess.count(isReal)
    const isCounted = isReal && judged === 'room' && (await countGuess(this.#db, name, now, maxGuesses))
    // On SQLite a write takes much longer than a read: without one here, the time would tell whether a code
    // is out.
    if (!isCounted) await this.#writeNothing(name, row, now)
    const given = digitsOf(code)
    const isRight = isReal && isSame((await this.#expected(name, row.nonce, now)).code, given)
    const isEnough = isRight && (judged === 'reserved' || isCounted)
    // Asked for a wrong guess too: else the time would tell which guess was right, and so both codes could be
    // found one by one.
    const mayEnter = isEnough || (judged !== 'reserved' && (await guess.wasRightAgain(given, isRight)))
    if (!mayEnter || !isReal) throw new AppError('code_wrong')
    return { use: (tx) => useCode(tx, name, row.nonce, this.#clock.now()) }
  }

  /** Removes up to `limit` codes that ran out an hour before `now` and more, and returns how many. */
  async forgetOld(now: number, limit: number): Promise<number> {
    return await deleteCodesBefore(this.#db, now - 3_600_000, limit)
  }

  /** False where another request made the first code of this number at the same moment. */
  async #insert(fresh: CodesTable): Promise<boolean> {
    try {
      await insertCode(this.#db, fresh)
      return true
    } catch (error) {
      if (!isUniqueViolation(error)) throw error
      return false
    }
  }

  async #extend(name: CodeName, now: number): Promise<boolean> {
    const until = now + codeLifeMs
    return await extendCode(this.#db, name, { now, until, madeAfter: now - carriedForMs, maxGuesses })
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

function isOut({ used_at, expires_at }: CodesTable, now: number): boolean {
  return used_at === null && expires_at > now
}

function isToBeCarried(row: CodesTable, now: number): boolean {
  return isOut(row, now) && row.guesses < maxGuesses && row.sent_at >= now - carriedForMs
}

function freshCode({ phoneNumber, purpose }: CodeName, now: number): CodesTable {
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
export function digitsOf(code: string): string {
  return visibleText(code).replace(/[\s-]/g, '')
}

function isSame(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)]
  return a.length === b.length && timingSafeEqual(a, b)
}
