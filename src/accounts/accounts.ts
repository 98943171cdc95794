// Who people are: adding, finding and listing accounts, and signing them in by password.
import type { Clock } from '../clock.ts'
import { isUniqueViolation } from '../db/failures.ts'
import type { AccountState, AccountsTable, Database } from '../db/schema.ts'
import { AppError } from '../errors.ts'
import { newAccountId } from '../ids.ts'
import type { Limiter } from '../limits/limiter.ts'
import type { Device, Issued, Sessions } from '../sessions/sessions.ts'
import { findAccountByPhoneNumber, insertAccount, listAccounts, replacePasswordHash } from './account-rows.ts'
import { assertAcceptablePassword, needsRehash, type Passwords } from './password.ts'
import { parsePhoneNumber, type Region } from './phone.ts'

/** A person. Times are milliseconds since 1970 UTC. */
export interface Account {
  readonly id: string
  /** E.164. */
  readonly phoneNumber: string
  readonly nickname: string | null
  readonly hasPassword: boolean
  readonly state: AccountState
  readonly bannedUntil: number | null
  readonly registeredAt: number
}

export interface NewAccount {
  readonly phoneNumber: string
  readonly nickname: string | null
  readonly password: string | null
  /** For imports and demos: any password of 1 to 256 code points. */
  readonly allowWeakPassword?: boolean
}

export interface AccountsOptions {
  readonly db: Database
  readonly clock: Clock
  readonly sessions: Sessions
  readonly passwords: Passwords
  readonly limiter: Limiter
  readonly region: Region
}

const pageSize = 500

export class Accounts {
  readonly #db: Database
  readonly #clock: Clock
  readonly #sessions: Sessions
  readonly #passwords: Passwords
  readonly #limiter: Limiter
  readonly #region: Region

  constructor(options: AccountsOptions) {
    this.#db = options.db
    this.#clock = options.clock
    this.#sessions = options.sessions
    this.#passwords = options.passwords
    this.#limiter = options.limiter
    this.#region = options.region
  }

  /**
   * Makes an account.
   * @throws AppError `phone_number_invalid`, `phone_number_taken`, `password_refused`, `overloaded`
   */
  async add(account: NewAccount): Promise<Account> {
    const phoneNumber = parsePhoneNumber(account.phoneNumber, this.#region)
    if (account.password !== null && !account.allowWeakPassword)
      assertAcceptablePassword(account.password, phoneNumber)
    const passwordHash = account.password === null ? null : await this.#passwords.hash(account.password)
    const now = this.#clock.now()
    const row: AccountsTable = {
      id: newAccountId(now),
      phone_number: phoneNumber,
      nickname: account.nickname,
      password_hash: passwordHash,
      state: 'active',
      banned_until: null,
      ban_reason: null,
      registered_at: now,
      updated_at: now,
    }
    try {
      await insertAccount(this.#db, row)
    } catch (error) {
      if (isUniqueViolation(error)) throw new AppError('phone_number_taken', {}, { cause: error })
      throw error
    }
    return toAccount(row)
  }

  /** The account with this number, or null. @throws AppError `phone_number_invalid` */
  async find(phoneNumber: string): Promise<Account | null> {
    const row = await findAccountByPhoneNumber(this.#db, parsePhoneNumber(phoneNumber, this.#region))
    return row && toAccount(row)
  }

  /** The account with this number. @throws AppError `phone_number_invalid`, `account_not_found` */
  async get(phoneNumber: string): Promise<Account> {
    const account = await this.find(phoneNumber)
    if (!account) throw new AppError('account_not_found')
    return account
  }

  /** All accounts in order of registration, read a page at a time. */
  async *list(): AsyncGenerator<Account> {
    let after: AccountsTable | null = null
    do {
      const rows: AccountsTable[] = await listAccounts(this.#db, after, pageSize)
      for (const row of rows) yield toAccount(row)
      after = rows.length < pageSize ? null : (rows.at(-1) ?? null)
    } while (after)
  }

  /**
   * Signs in by number and password. An unknown number costs the same work as a wrong password, and is limited like any other.
   * @throws AppError `phone_number_invalid`, `rate_limited`, `credentials_wrong`, `account_banned`,
   *   `session_limit_reached`, `overloaded`, `unavailable`
   */
  async signIn(phoneNumber: string, password: string, device: Device): Promise<Issued> {
    const number = parsePhoneNumber(phoneNumber, this.#region)
    const { ip: address, deviceId } = device
    const attempt = await this.#limiter.attempt('check_password', { phoneNumber: number, address, deviceId })
    try {
      for (let tries = 1; ; tries++) {
        const issued = await this.#trySignIn(number, password, device)
        if (issued !== 'hash changed') {
          await attempt.succeeded()
          return issued
        }
        if (tries === 3) throw new AppError('unavailable', { retryAfterSeconds: 1 })
      }
    } catch (error) {
      const wasWrong = error instanceof AppError && error.code === 'credentials_wrong'
      if (!wasWrong) await attempt.notCompared()
      throw error
    }
  }

  /**
   * Forgets the failed sign-ins in a row of a number, which need not have an account, and gives it in E.164.
   * @throws AppError `phone_number_invalid`, `unavailable`
   */
  async unlock(phoneNumber: string): Promise<string> {
    const number = parsePhoneNumber(phoneNumber, this.#region)
    await this.#limiter.forgetFailures({ phoneNumber: number })
    return number
  }

  /** 'hash changed': the stored hash was replaced (or went with its account) while this password was compared with it. */
  async #trySignIn(number: string, password: string, device: Device): Promise<Issued | 'hash changed'> {
    const row = await findAccountByPhoneNumber(this.#db, number)
    const stored = row?.password_hash ?? null
    const isRight = await this.#passwords.verify(stored, password)
    if (!row) throw new AppError('credentials_wrong', { wrong: 'phone_number' })
    if (!isRight || stored === null) throw new AppError('credentials_wrong', { wrong: 'password' })
    const rehashed = needsRehash(stored) ? await this.#passwords.hash(password) : null
    const issued = await this.#sessions.issue({
      accountId: row.id,
      device,
      alongside: async (tx, locked) => {
        if (locked.password_hash !== stored) return false
        if (rehashed)
          await replacePasswordHash(tx, { id: row.id, from: stored, to: rehashed, now: this.#clock.now() })
        return true
      },
    })
    return issued ?? 'hash changed'
  }
}

function toAccount(row: AccountsTable): Account {
  return {
    id: row.id,
    phoneNumber: row.phone_number,
    nickname: row.nickname,
    hasPassword: row.password_hash !== null,
    state: row.state,
    bannedUntil: row.banned_until,
    registeredAt: row.registered_at,
  }
}
