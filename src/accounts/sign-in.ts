// Signing in: by password, or by a code that proves the number and makes the account where there is none.
import type { Clock } from '../clock.ts'
import { type Codes, digitsOf, type RightCode } from '../codes/codes.ts'
import { isUniqueViolation } from '../db/failures.ts'
import type { AccountsTable, Database } from '../db/schema.ts'
import { AppError, isWrongProof } from '../errors.ts'
import type { NewEvent, Origin } from '../events/events.ts'
import type { Guess, Limiter } from '../limits/limiter.ts'
import { parsePhoneNumber, type Region } from '../phone/phone.ts'
import { findGoodProof } from '../sessions/device-proofs.ts'
import { findRepeatable } from '../sessions/session-rows.ts'
import type { Admission, Device, Issued, Sessions } from '../sessions/sessions.ts'
import { fingerprintOf, type KeyedSignIn, repeatableMs } from '../sessions/sign-in-repeats.ts'
import {
  findAccountByPhoneNumber,
  insertAccount,
  lockAccountByPhoneNumber,
  newAccountRow,
  replacePasswordHash,
} from './account-rows.ts'
import { isBarredNumber } from './barred-number-rows.ts'
import type { BarredNumbers } from './barred-numbers.ts'
import { firstVerification } from './first-verification.ts'
import { needsRehash, type Passwords } from './password.ts'
import { comparePassword, noteWrong } from './wrong-proofs.ts'

export interface SignInOptions {
  readonly db: Database
  readonly clock: Clock
  readonly sessions: Sessions
  readonly passwords: Passwords
  readonly codes: Codes
  readonly barredNumbers: BarredNumbers
  readonly limiter: Limiter
  readonly region: Region
  /** Whether a number without an account gets one. */
  readonly signUp: 'open' | 'closed'
}

/** Who signs in, from where. */
export interface Arrival {
  readonly phoneNumber: string
  readonly device: Device
  readonly origin: Origin
  /** The device proof as the client sent it; null: it sent none. Absent: it keeps no proofs and is given none. */
  readonly deviceProof?: string | null
  /** Chosen by the client before its first try (sign-in-repeats.ts); absent or null: the sign-in cannot be repeated. */
  readonly idempotencyKey?: string | null
}

/** A sign-in whose code was right, or was used by the sign-in that this one repeats. */
interface CodeSignIn {
  readonly phoneNumber: string
  /** Of barred-numbers.ts. */
  readonly numberHash: string
  /** null: it was used. */
  readonly right: RightCode | null
  readonly fingerprint: string | null
  /** For an account that is made now. */
  readonly nickname: string | null
}

/** A sign-in whose password was right. */
interface PasswordSignIn {
  readonly number: string
  readonly stored: string
  /** null: the stored hash is as strong as a new one. */
  readonly rehashed: string | null
  readonly fingerprint: string | null
}

export class SignIn {
  readonly #db: Database
  readonly #clock: Clock
  readonly #sessions: Sessions
  readonly #passwords: Passwords
  readonly #codes: Codes
  readonly #barredNumbers: BarredNumbers
  readonly #limiter: Limiter
  readonly #region: Region
  readonly #signUp: 'open' | 'closed'

  constructor(options: SignInOptions) {
    this.#db = options.db
    this.#clock = options.clock
    this.#sessions = options.sessions
    this.#passwords = options.passwords
    this.#codes = options.codes
    this.#barredNumbers = options.barredNumbers
    this.#limiter = options.limiter
    this.#region = options.region
    this.#signUp = options.signUp
  }

  /**
   * By number and password. An unknown number costs the same work as a wrong password. With a key that made a session whose token was
   * never used, the same session gets another token.
   * @throws AppError `phone_number_invalid`, `credentials_wrong`, `account_banned`, `session_limit_reached`, `overloaded`
   */
  async byPassword(arrival: Arrival, password: string): Promise<Issued> {
    const number = parsePhoneNumber(arrival.phoneNumber, this.#region)
    // In a storm of sign-ins who does not fit costs nothing but this.
    this.#passwords.assertRoom()
    const proof = await this.#goodProof(number, arrival)
    return await this.#limiter.guarded('check_password', whoIs(number, arrival, proof), async (guess) => {
      for (let tries = 1; ; tries++) {
        const issued = await this.#tryPassword({ number, password, guess, proof }, arrival)
        if (issued !== 'hash changed') return issued
        if (tries === 3) throw new AppError('unavailable', { retryAfterSeconds: 1 })
      }
    })
  }

  /**
   * By number and code. A number without an account gets one; `nickname` is for that case only. With a key, a code that was used is
   * accepted by the repeat of the sign-in that used it, and by nothing else.
   * @throws AppError `phone_number_invalid`, `code_wrong`, `sign_up_closed`, `account_banned`, `session_limit_reached`
   */
  async byCode(arrival: Arrival, code: string, nickname: string | null): Promise<Issued> {
    const phoneNumber = parsePhoneNumber(arrival.phoneNumber, this.#region)
    const proof = await this.#goodProof(phoneNumber, arrival)
    return await this.#limiter.guarded('check_code', whoIs(phoneNumber, arrival, proof), async (guess) => {
      for (let tries = 1; ; tries++) {
        try {
          return await this.#tryCode({ phoneNumber, code, guess, proof }, nickname, arrival)
        } catch (error) {
          // A command made the account at the same moment: now there is one.
          if (!isUniqueViolation(error) || tries === 3) throw error
        }
      }
    })
  }

  async #goodProof(phoneNumber: string, { device, deviceProof = null }: Arrival): Promise<string | null> {
    return await findGoodProof(this.#db, { phoneNumber, text: deviceProof, deviceId: device.deviceId })
  }

  async #tryCode(
    { phoneNumber, code, guess, proof }: { phoneNumber: string; code: string } & Try,
    nickname: string | null,
    arrival: Arrival,
  ): Promise<Issued> {
    const { device, origin } = arrival
    const fingerprint = fingerprintBy(arrival, { phoneNumber, method: 'code', code: digitsOf(code) })
    const right = await this.#codes
      .check({ phoneNumber, purpose: 'sign_in' }, code, guess)
      .catch(async (error: unknown) => {
        // No sign of a theft, and no failure to be told to anybody: the owner asks again for what was never heard.
        if (isWrongProof(error) && (await this.#findRepeatable(this.#db, phoneNumber, fingerprint)))
          return null
        return await this.#noteWrong(phoneNumber, 'code', origin)(error)
      })
    const numberHash = await this.#barredNumbers.hashOf(phoneNumber)
    const signIn = { phoneNumber, numberHash, right, fingerprint, nickname }
    const admit = (tx: Database) => this.#admitByCode(tx, signIn)
    const issued = await this.#sessions.issue({
      ...{ device, origin, method: 'code', fingerprint, admit },
      ...wantedProof(arrival, proof),
    })
    if (!issued) throw new AppError('code_wrong')
    return issued
  }

  /** 'hash changed': the stored hash was replaced (or went with its account) while this password was compared with it. */
  async #tryPassword(
    { number, password, guess, proof }: { number: string; password: string } & Try,
    arrival: Arrival,
  ): Promise<Issued | 'hash changed'> {
    const { device, origin } = arrival
    const row = await findAccountByPhoneNumber(this.#db, number)
    const stored = await comparePassword(this.#passwords, { row, password, guess }).catch(
      this.#noteWrong(number, 'password', origin),
    )
    const rehashed = needsRehash(stored) ? await this.#passwords.hash(password) : null
    const fingerprint = fingerprintBy(arrival, { phoneNumber: number, method: 'password', code: null })
    const right = { number, stored, rehashed, fingerprint }
    const admit = (tx: Database) => this.#admitByPassword(tx, right)
    const issued = await this.#sessions.issue({
      ...{ device, origin, method: 'password', fingerprint, admit },
      ...wantedProof(arrival, proof),
    })
    return issued ?? 'hash changed'
  }

  async #admitByPassword(
    tx: Database,
    { number, stored, rehashed, fingerprint }: PasswordSignIn,
  ): Promise<Admission | null> {
    const row = await lockAccountByPhoneNumber(tx, number)
    if (row?.password_hash !== stored) return null
    const now = this.#clock.now()
    if (rehashed) await replacePasswordHash(tx, { id: row.id, from: stored, to: rehashed, now })
    return (await this.#admitRepeat(tx, row, fingerprint)) ?? admitted(row)
  }

  /** Admits the repeat of a sign-in to the session that it made, under the account's lock; null where there is none. */
  async #admitRepeat(
    tx: Database,
    row: AccountsTable,
    fingerprint: string | null,
  ): Promise<Admission | null> {
    const repeats = await this.#findRepeatable(tx, row.phone_number, fingerprint)
    return repeats && { ...admitted(row), repeats }
  }

  async #findRepeatable(db: Database, phoneNumber: string, fingerprint: string | null) {
    if (fingerprint === null) return null
    const since = this.#clock.now() - repeatableMs
    return await findRepeatable(db, { phoneNumber, fingerprint, since })
  }

  async #admitByCode(
    tx: Database,
    { phoneNumber, numberHash, right, fingerprint, nickname }: CodeSignIn,
  ): Promise<Admission | null> {
    const row = await lockAccountByPhoneNumber(tx, phoneNumber)
    const repeat = row && (await this.#admitRepeat(tx, row, fingerprint))
    if (repeat) return repeat
    const now = this.#clock.now()
    if (!row && this.#signUp === 'closed') throw new AppError('sign_up_closed')
    if (!right || !(await right.use(tx)))
      return row ? null : await this.#admitAfterSignUp(tx, phoneNumber, fingerprint)
    if (!row) {
      if (await isBarredNumber(tx, numberHash)) throw new AppError('account_banned', { bannedUntil: null })
      const account = { ...newAccountRow(phoneNumber, now), nickname, phone_verified_at: now }
      await insertAccount(tx, account)
      const created: NewEvent = { kind: 'account_created', accountId: account.id, phoneNumber }
      return { account, isNew: true, endOthers: null, events: [created] }
    }
    if (row.phone_verified_at !== null) return admitted(row)
    const { set, event } = firstVerification(row, now)
    return { account: row, set, events: [event], isNew: false, endOthers: 'phone_verified' }
  }

  /** A try of the same sign-in made the account after we looked for it, and used the code. */
  async #admitAfterSignUp(
    tx: Database,
    phoneNumber: string,
    fingerprint: string | null,
  ): Promise<Admission | null> {
    const row = fingerprint === null ? null : await lockAccountByPhoneNumber(tx, phoneNumber)
    return row && (await this.#admitRepeat(tx, row, fingerprint))
  }

  #noteWrong(phoneNumber: string, method: string, origin: Origin) {
    const refusal = { kind: 'sign_in_failed', phoneNumber, detail: { method }, origin } as const
    return noteWrong({ db: this.#db, clock: this.#clock }, refusal)
  }
}

function admitted(account: AccountsTable): Admission {
  return { account, isNew: false, endOthers: null, events: [] }
}

/** What a sign-in with a key is recognised by when it is repeated; null: it has none. */
function fingerprintBy(
  { idempotencyKey: key = null, device }: Arrival,
  proved: Pick<KeyedSignIn, 'phoneNumber' | 'method' | 'code'>,
): string | null {
  return key === null ? null : fingerprintOf({ key, device, ...proved })
}

/** One counted try, and the hash of the good device proof that came with it. */
interface Try {
  readonly guess: Guess
  readonly proof: string | null
}

function wantedProof({ deviceProof }: Arrival, presented: string | null) {
  return deviceProof === undefined ? {} : { deviceProof: { presented } }
}

function whoIs(phoneNumber: string, { device }: Arrival, proof: string | null) {
  return { phoneNumber, address: device.ip, deviceId: device.deviceId, accountId: null, proof }
}
