// Credentials of an account: changing the password, setting a new one by code, and moving to another number.

import { findAccountById, findAccountByPhoneNumber } from '../accounts/account-rows.ts'
import { type Account, existing, toAccount } from '../accounts/accounts.ts'
import { availabilityOf, type BarredNumbers } from '../accounts/barred-numbers.ts'
import type { Confirmed } from '../accounts/lifecycle.ts'
import type { CodeName, Codes, RightCode } from '../codes/codes.ts'
import { isUniqueViolation } from '../database/failures.ts'
import type { Database } from '../database/schema.ts'
import { AppError, isWrongCredential } from '../errors.ts'
import type { NewEvent, RequestOrigin } from '../events/events.ts'
import type { Limiter } from '../limits/limiter.ts'
import { assertAcceptablePassword, type Passwords } from '../passwords/password.ts'
import { maskPhoneNumber, parsePhoneNumber, type Region } from '../phone/phone.ts'
import type { StoredAccount } from '../sessions/account.ts'
import { assertNotBanned } from '../sessions/account-state.ts'
import type { AccountWriter } from '../sessions/account-writer.ts'
import type { Actor } from '../sessions/caller.ts'
import type { ProofLookups } from '../sessions/proof-lookups.ts'
import { comparePassword, noteWrong, type Refusal } from './failed-attempts.ts'
import { codeCheck } from './methods/code.ts'
import { passwordCheck } from './methods/password.ts'
import { firstVerification } from './phone-verification.ts'

/** Shows that the request comes from the owner, and not from a person who found the phone unlocked. */
export type StepUp = { readonly password: string } | { readonly code: string }

export interface CredentialsOptions {
  readonly db: Database
  readonly proofs: ProofLookups
  readonly writer: AccountWriter
  readonly passwords: Passwords
  readonly codes: Codes
  readonly barredNumbers: BarredNumbers
  readonly limiter: Limiter
  readonly region: Region
  /**
   * Sends a notice to the old number that the account has moved. The caller does not wait for it, and a
   * failure of it changes nothing.
   */
  readonly tellMoved: (from: string, maskedTo: string) => void
}

/**
 * The caller that presents a code. `accountId` is null, and there is no session, for a client that is not
 * signed in.
 */
interface CodeGuesser {
  readonly accountId: string | null
  readonly sessionId?: string
  /**
   * Finds the account that a wrong code is recorded for, where it is not the caller's. Called when the guess
   * is counted: a refused one reads nothing.
   */
  readonly findOwner?: () => Promise<StoredAccount | null>
  readonly origin: RequestOrigin
  /** Opens the reserved part of the limits of this number, as in `LimitSubject`. */
  readonly proof?: string | null
}

export class Credentials {
  readonly #options: CredentialsOptions

  constructor(options: CredentialsOptions) {
    this.#options = options
  }

  /**
   * Sets or changes the password, and ends all other sessions.
   * @throws AppError `password_refused`, `credentials_wrong`, `code_wrong`, `account_not_found`, `overloaded`
   */
  async changePassword(actor: Actor, newPassword: string, stepUp: StepUp): Promise<void> {
    const account = await this.#get(actor.accountId)
    assertAcceptablePassword(newPassword, account.phoneNumber)
    const confirmed = await this.#confirm(account, stepUp, actor)
    const hash = await this.#options.passwords.hash(newPassword)
    await this.#options.writer.update({
      accountId: account.id,
      by: actor,
      origin: actor.origin,
      decide: async (tx, locked) => {
        if (!(await confirmed(tx, locked))) throw notConfirmed(stepUp)
        return {
          set: { passwordHash: hash },
          end: { which: { allBut: actor.sessionId }, reason: 'password_changed' },
          events: [passwordSet(locked, 'password' in stepUp ? 'password' : 'code')],
        }
      },
    })
  }

  /**
   * Sets a new password by code, for a client that is not signed in, and ends all sessions.
   * @throws AppError `phone_number_invalid`, `password_refused`, `code_wrong`, `account_banned`, `overloaded`
   */
  async resetPassword(
    request: { phoneNumber: string; code: string; newPassword: string; deviceProof: string | null },
    origin: RequestOrigin,
  ): Promise<void> {
    const phoneNumber = parsePhoneNumber(request.phoneNumber, this.#options.region)
    assertAcceptablePassword(request.newPassword, phoneNumber)
    const { db, proofs } = this.#options
    const presented = { phoneNumber, text: request.deviceProof, deviceId: null, address: origin.ip }
    const proof = await proofs.find(presented)
    const find = async () => await findAccountByPhoneNumber(db, phoneNumber)
    const guesser = { accountId: null, findOwner: find, origin, proof }
    const right = await this.#checkCode({ phoneNumber, purpose: 'reset_password' }, request.code, guesser)
    const account = await find()
    // A number without an account gets no code, so a code for it can only be a guess.
    if (!account) throw new AppError('code_wrong')
    const hash = await this.#options.passwords.hash(request.newPassword)
    await this.#options.writer.update({
      accountId: account.id,
      by: null,
      origin,
      decide: async (tx, locked, now) => {
        if (locked.phoneNumber !== phoneNumber || !(await right.use(tx))) throw new AppError('code_wrong')
        assertNotBanned(locked, now)
        const first = locked.phoneVerifiedAt === null ? firstVerification(locked, now) : null
        return {
          set: { ...first?.set, passwordHash: hash },
          end: { which: { allBut: null }, reason: first ? 'phone_verified' : 'password_changed' },
          events: [...(first ? [first.event] : []), passwordSet(locked, 'reset')],
        }
      },
    })
  }

  /**
   * Moves an account to another number, ends all other sessions, and sends a notice to the old number.
   * @throws AppError `phone_number_invalid`, `phone_number_taken`, `code_wrong`, `credentials_wrong`,
   * `account_not_found`
   */
  async changePhone(
    actor: Actor,
    request: { phoneNumber: string; code: string; confirmation: StepUp },
  ): Promise<Account> {
    const account = await this.#get(actor.accountId)
    const phoneNumber = parsePhoneNumber(request.phoneNumber, this.#options.region)
    if (phoneNumber === account.phoneNumber) throw new AppError('phone_number_taken')
    // The checks run one after the other, so that a typing error in one does not use up guesses of the other.
    const right = await this.#checkCode({ phoneNumber, purpose: 'change_phone' }, request.code, actor).catch(
      at('/code'),
    )
    const confirmed = await this.#confirm(account, request.confirmation, actor).catch(at('/confirmation'))
    const numberHash = await this.#options.barredNumbers.hashOf(phoneNumber)
    const moved = await this.#moveTo(actor, phoneNumber, async (tx, locked) => {
      if (!(await confirmed(tx, locked))) throw notConfirmed(request.confirmation)
      if (!(await right.use(tx))) throw new AppError('code_wrong')
      // A permanent ban applies to its number, with or without an account.
      if ((await availabilityOf(tx, phoneNumber, numberHash)) !== 'free')
        throw new AppError('phone_number_taken')
    })
    if (account.phoneNumber !== null)
      this.#options.tellMoved(account.phoneNumber, maskPhoneNumber(phoneNumber))
    return moved
  }

  /**
   * Checks the code for closing that was sent to the account's own number.
   * @throws AppError `code_wrong`, `account_not_found`, `rate_limited`
   */
  async checkClosingCode(actor: Actor, code: string): Promise<Confirmed> {
    return await this.#checkOwnCode(await this.#get(actor.accountId), 'close_account', { code, actor })
  }

  /** Checks a code that was sent to the account's own number. Under the lock it must still be the own one. */
  async #checkOwnCode(
    { phoneNumber }: StoredAccount,
    purpose: 'close_account' | 'confirm',
    { code, actor }: { readonly code: string; readonly actor: Actor },
  ): Promise<Confirmed> {
    const right = await this.#checkCode({ phoneNumber, purpose }, code, owner(actor))
    return async (tx, locked) => locked.phoneNumber === phoneNumber && (await right.use(tx))
  }

  /** @throws AppError `phone_number_missing` where the account has no number that could receive a code */
  async #checkCode(
    { phoneNumber, purpose }: { readonly phoneNumber: string | null; readonly purpose: CodeName['purpose'] },
    code: string,
    { accountId, sessionId, findOwner, origin, proof = null }: CodeGuesser,
  ): Promise<RightCode> {
    if (phoneNumber === null) throw new AppError('phone_number_missing')
    const name = { phoneNumber, purpose }
    const subject = {
      phoneNumber,
      address: origin.ip,
      deviceId: null,
      accountId,
      proof,
      ...(sessionId && { sessionId }),
    }
    return await this.#options.limiter.withLimit(codeCheck, subject, async (guess) => {
      const owner = findOwner ? ((await findOwner())?.id ?? null) : accountId
      return await this.#options.codes
        .check(name, code, guess)
        .catch(this.#noteWrong({ phoneNumber, accountId: owner }, purpose, origin))
    })
  }

  #noteWrong(subject: Pick<Refusal, 'phoneNumber' | 'accountId'>, proof: string, origin: RequestOrigin) {
    const refusal = { kind: 'proof_failed', ...subject, detail: { proof }, origin } as const
    return noteWrong(this.#options.writer, refusal)
  }

  async #moveTo(
    actor: Actor,
    phoneNumber: string,
    assertProven: (tx: Database, locked: StoredAccount) => Promise<void>,
  ): Promise<Account> {
    try {
      const { account } = await this.#options.writer.update({
        accountId: actor.accountId,
        by: actor,
        origin: actor.origin,
        decide: async (tx, locked, now) => {
          await assertProven(tx, locked)
          const moved = { accountId: locked.id, phoneNumber, detail: { from: locked.phoneNumber } }
          return {
            set: { phoneNumber, phoneVerifiedAt: now },
            end: { which: { allBut: actor.sessionId }, reason: 'phone_changed' },
            events: [{ kind: 'phone_changed', ...moved }],
          }
        },
      })
      return toAccount(existing(account))
    } catch (error) {
      if (isUniqueViolation(error)) throw new AppError('phone_number_taken', {}, { cause: error })
      throw error
    }
  }

  async #get(accountId: string): Promise<StoredAccount> {
    return existing(await findAccountById(this.#options.db, accountId))
  }

  async #confirm(account: StoredAccount, stepUp: StepUp, actor: Actor): Promise<Confirmed> {
    const { phoneNumber } = account
    if ('code' in stepUp) return await this.#checkOwnCode(account, 'confirm', { code: stepUp.code, actor })
    const { accountId, sessionId, origin } = actor
    const { proof } = owner(actor)
    const subject = { phoneNumber, address: origin.ip, deviceId: null, accountId, sessionId, proof }
    await this.#options.limiter.withLimit(passwordCheck, subject, (guess) =>
      comparePassword(this.#options.passwords, { account, password: stepUp.password, guess }).catch(
        this.#noteWrong({ phoneNumber, accountId }, 'password', origin),
      ),
    )
    return async (_tx, locked) => locked.passwordHash === account.passwordHash
  }
}

/**
 * For the account's own number, a session of the account is as good as a device proof. Each session counts as
 * its own proof, so that a stolen one uses up only its own guesses.
 */
function owner(actor: Actor) {
  return { ...actor, proof: `session ${actor.sessionId}` }
}

/** For `catch`: adds which of the two credentials was wrong. */
function at(pointer: string) {
  return (error: unknown): never => {
    if (!isWrongCredential(error)) throw error
    const fields = [{ pointer, problem: 'is_wrong' }]
    throw new AppError(error.code, { ...error.facts, fields }, { cause: error })
  }
}

function notConfirmed(stepUp: StepUp): AppError {
  return new AppError('code' in stepUp ? 'code_wrong' : 'credentials_wrong')
}

function passwordSet(account: StoredAccount, how: 'password' | 'code' | 'reset'): NewEvent {
  return {
    kind: 'password_set',
    accountId: account.id,
    detail: { how, had_password: account.passwordHash !== null },
  }
}
