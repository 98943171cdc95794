// Accounts of people: creates, finds, lists and changes them, and exports all data of one.
import type { Clock } from '../clock.ts'
import { isUniqueViolation } from '../database/failures.ts'
import type { Database } from '../database/schema.ts'
import { inTransaction } from '../database/transaction.ts'
import { nextTurn } from '../database/turns.ts'
import { AppError } from '../errors.ts'
import { type Event, listEventsOf, noOrigin, type RequestOrigin, recordEvents } from '../events/events.ts'
import { uuidBytes } from '../ids.ts'
import type { Limiter } from '../limits/limiter.ts'
import { assertAcceptablePassword, assertPossiblePassword, type Passwords } from '../passwords/password.ts'
import { parsePhoneNumber, type Region } from '../phone/phone.ts'
import { type AccountChanges, newAccount, type StoredAccount } from '../sessions/account.ts'
import { type Ban, factsOf } from '../sessions/account-state.ts'
import type { AccountWriter } from '../sessions/account-writer.ts'
import type { Caller } from '../sessions/caller.ts'
import { listSessionRecords, type SessionRecord } from '../sessions/session-record-rows.ts'
import type { Verification } from '../sessions/verification.ts'
import { findAccountById, findAccountByPhoneNumber, insertAccount, listAccounts } from './account-rows.ts'
import { availabilityOf, type BarredNumbers } from './barred-numbers.ts'
import { type Identity, identitiesOf } from './identities.ts'

export type { SessionRecord } from '../sessions/session-record-rows.ts'

/** A person. Times are milliseconds since 1970 UTC. */
export interface Account {
  readonly id: string
  /** E.164. */
  readonly phoneNumber: string | null
  readonly nickname: string | null
  readonly hasPassword: boolean
  readonly ban: Ban | null
  readonly banReason: string | null
  readonly registeredAt: number
  readonly avatarUrl: string | null
  /** BCP 47. */
  readonly locale: string | null
  /** null: no owner has verified the number yet. */
  readonly phoneVerifiedAt: number | null
  /** When a closing account is removed. */
  readonly closesAt: number | null
}

/** The profile fields that an owner may change. A field that is not given stays. */
export interface ProfileChange {
  readonly nickname?: string | null
  readonly avatarUrl?: string | null
  readonly locale?: string | null
}

/** All data of one account. Sessions and events are read page by page while they are consumed. */
export interface AccountExport {
  readonly account: Account
  readonly identities: readonly Identity[]
  /** Oldest first. */
  readonly sessions: AsyncIterable<SessionRecord>
  /** Newest first. */
  readonly events: AsyncIterable<Event>
}

export interface NewAccount {
  readonly phoneNumber: string
  readonly nickname: string | null
  readonly password: string | null
  /** For imports and demos: any password of 1 to 256 code points. */
  readonly allowWeakPassword?: boolean
  /**
   * The operator vouches that the number belongs to this person: the first code does not wipe what was set
   * here.
   */
  readonly isVerified?: boolean
}

export interface AccountsOptions {
  readonly db: Database
  readonly clock: Clock
  readonly verification: Verification
  readonly writer: AccountWriter
  readonly passwords: Passwords
  readonly barredNumbers: BarredNumbers
  readonly limiter: Limiter
  readonly region: Region
}

const pageSize = 200

/** The names of the fields of a profile in events, which are those of the API. */
const fieldNames = [
  ['nickname', 'nickname'],
  ['avatarUrl', 'avatar_url'],
  ['locale', 'locale'],
] as const satisfies [keyof ProfileChange, string][]

export class Accounts {
  readonly #options: AccountsOptions

  constructor(options: AccountsOptions) {
    this.#options = options
  }

  /**
   * Creates an account.
   * @throws AppError `phone_number_invalid`, `phone_number_taken`, `account_banned`, `password_refused`,
   * `overloaded`
   */
  async create(account: NewAccount): Promise<Account> {
    const phoneNumber = parsePhoneNumber(account.phoneNumber, this.#options.region)
    if (account.password !== null && account.allowWeakPassword) assertPossiblePassword(account.password)
    else if (account.password !== null) assertAcceptablePassword(account.password, phoneNumber)
    const passwordHash =
      account.password === null ? null : await this.#options.passwords.hash(account.password)
    const numberHash = await this.#options.barredNumbers.hashOf(phoneNumber)
    const now = this.#options.clock.now()
    const created: StoredAccount = {
      ...newAccount(phoneNumber, now),
      nickname: account.nickname,
      passwordHash,
      phoneVerifiedAt: account.isVerified ? now : null,
    }
    try {
      await inTransaction(this.#options.db, async (tx) => {
        const availability = await availabilityOf(tx, phoneNumber, numberHash)
        if (availability === 'taken') throw new AppError('phone_number_taken')
        if (availability === 'barred') throw new AppError('account_banned', { bannedUntil: null })
        await insertAccount(tx, created)
        await recordEvents(tx, now, noOrigin, [
          { kind: 'account_created', accountId: created.id, phoneNumber },
        ])
      })
    } catch (error) {
      if (isUniqueViolation(error)) throw new AppError('phone_number_taken', {}, { cause: error })
      throw error
    }
    return toAccount(created)
  }

  /**
   * The E.164 number for a command: that of the account that was found, or the given one; null: the account
   * has none.
   * @throws AppError `phone_number_invalid`, `account_not_found` for an id without an account
   */
  numberOf(phoneNumberOrId: string, found: Account | null): string | null {
    if (found) return found.phoneNumber
    if (uuidBytes(phoneNumberOrId) !== null) throw new AppError('account_not_found')
    return parsePhoneNumber(phoneNumberOrId, this.#options.region)
  }

  /** The account with this number, or with this id, or null. @throws AppError `phone_number_invalid` */
  async find(phoneNumberOrId: string): Promise<Account | null> {
    const account =
      uuidBytes(phoneNumberOrId) !== null
        ? await findAccountById(this.#options.db, phoneNumberOrId)
        : await findAccountByPhoneNumber(
            this.#options.db,
            parsePhoneNumber(phoneNumberOrId, this.#options.region),
          )
    return account && toAccount(account)
  }

  /**
   * The account with this number, or with this id.
   * @throws AppError `phone_number_invalid`, `account_not_found`
   */
  async get(phoneNumberOrId: string): Promise<Account> {
    const account = await this.find(phoneNumberOrId)
    if (!account) throw new AppError('account_not_found')
    return account
  }

  /** The account with this id. @throws AppError `account_not_found` */
  async getById(id: string): Promise<Account> {
    return toAccount(existing(await findAccountById(this.#options.db, id)))
  }

  /**
   * Changes the profile. Unchanged values are not written, create no event and are not counted: some apps
   * send the whole profile at each start.
   * @throws AppError `account_not_found`, `rate_limited`, `unavailable`
   */
  async update(caller: Caller, change: ProfileChange, origin: RequestOrigin): Promise<Account> {
    const { accountId } = caller
    const known = existing(await findAccountById(this.#options.db, accountId))
    if (Object.keys(changedFields(known, change)).length === 0) return toAccount(known)
    await this.#options.limiter.countWrite('change_profile', caller)
    const { account } = await this.#options.writer.update({
      accountId,
      by: caller,
      origin,
      decide: async (_tx, locked) => {
        const set = changedFields(locked, change)
        const fields = fieldNames.flatMap(([field, name]) => (field in set ? [name] : [])).join(' ')
        return { set, events: fields ? [{ kind: 'account_updated', accountId, detail: { fields } }] : [] }
      },
    })
    return toAccount(existing(account))
  }

  /**
   * All data of one account, for its owner to keep. The lists end with an error when the caller's session
   * ends meanwhile.
   * @throws AppError `account_not_found`, `rate_limited`, `unavailable`; the 401 of a caller whose session is
   * no longer live
   */
  async export(caller: Caller, origin: RequestOrigin): Promise<AccountExport> {
    const id = caller.accountId
    const account = existing(await findAccountById(this.#options.db, id))
    await this.#options.limiter.countWrite('export_account', caller)
    await this.#options.writer.update({
      accountId: id,
      by: caller,
      origin,
      decide: async () => ({ events: [{ kind: 'account_exported', accountId: id }] }),
    })
    return {
      account: toAccount(account),
      identities: await identitiesOf(this.#options.db, account),
      sessions: this.#whileLive(caller, this.#sessionRecords(id)),
      // Events of the number are left out: another account may have had the number before.
      events: this.#whileLive(caller, listEventsOf(this.#options.db, { accountId: id, phoneNumber: null })),
    }
  }

  /**
   * A client may take minutes to read its export. After its session has ended, it reads no further than to
   * the next hundred items. The first hundred belong to the response that began while the session was live.
   */
  async *#whileLive<T>(caller: Caller, items: AsyncIterable<T>): AsyncGenerator<T> {
    let count = 0
    for await (const item of items) {
      if (count > 0 && count % 100 === 0) await this.#options.verification.assertStillLive(caller)
      count++
      yield item
    }
  }

  async *#sessionRecords(accountId: string): AsyncGenerator<SessionRecord> {
    let after: SessionRecord | null = null
    do {
      await nextTurn()
      const page: SessionRecord[] = await listSessionRecords(this.#options.db, accountId, after, pageSize)
      yield* page
      after = page.length < pageSize ? null : (page.at(-1) ?? null)
    } while (after)
  }

  /** The events of an account (null: there is none) and of its number, newest first. */
  listEvents({ id, phoneNumber }: { id: string | null; phoneNumber: string | null }): AsyncGenerator<Event> {
    return listEventsOf(this.#options.db, { accountId: id, phoneNumber })
  }

  /** All accounts in order of registration, read a page at a time. */
  async *list(): AsyncGenerator<Account> {
    let after: StoredAccount | null = null
    do {
      await nextTurn()
      const page: StoredAccount[] = await listAccounts(this.#options.db, after, pageSize)
      for (const account of page) yield toAccount(account)
      after = page.length < pageSize ? null : (page.at(-1) ?? null)
    } while (after)
  }

  /**
   * Resets all limits of a number, which need not have an account, and returns the number in E.164.
   * @throws AppError `phone_number_invalid`, `unavailable`
   */
  async unlock(phoneNumber: string): Promise<string> {
    const number = parsePhoneNumber(phoneNumber, this.#options.region)
    await this.#options.limiter.resetNumber(number)
    return number
  }
}

/** The fields whose value a change replaces. */
function changedFields(
  account: StoredAccount,
  { nickname, avatarUrl, locale }: ProfileChange,
): AccountChanges {
  return {
    ...(nickname !== undefined && nickname !== account.nickname && { nickname }),
    ...(avatarUrl !== undefined && avatarUrl !== account.avatarUrl && { avatarUrl }),
    ...(locale !== undefined && locale !== account.locale && { locale }),
  }
}

/** The account itself. @throws AppError `account_not_found` where it is null */
export function existing(account: StoredAccount | null): StoredAccount {
  if (!account) throw new AppError('account_not_found')
  return account
}

/** An account without its secret. */
export function toAccount(account: StoredAccount): Account {
  const { id, phoneNumber, nickname, passwordHash, ban, registeredAt, avatarUrl, locale, phoneVerifiedAt } =
    account
  return {
    id,
    phoneNumber,
    nickname,
    hasPassword: passwordHash !== null,
    ...factsOf(account),
    banReason: ban?.reason ?? null,
    registeredAt,
    avatarUrl,
    locale,
    phoneVerifiedAt,
  }
}
