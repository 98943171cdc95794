// An account as the domain has it. account-columns.ts maps it to its row.
import { newAccountId } from '../ids.ts'
import { type AccountFacts, type Ban, factsOf } from './account-state.ts'

/** A ban with what only operators see of it. */
interface StoredBan extends Ban {
  readonly at: number
  readonly reason: string | null
}

/** The irrevocable decision to remove an account: no request finds it, and its rows are being deleted. */
interface Removal {
  readonly beganAt: number
  /** The number that it had, until the events that name it are changed. */
  readonly phoneNumber: string | null
}

/** An account as the database holds it. Times are milliseconds since 1970 UTC. */
export interface StoredAccount extends AccountFacts {
  readonly id: string
  /** E.164; null: it has none. */
  readonly phoneNumber: string | null
  readonly nickname: string | null
  /** A PHC string; null: no password is set. */
  readonly passwordHash: string | null
  /** Also one that has ended. */
  readonly ban: StoredBan | null
  readonly registeredAt: number
  readonly avatarUrl: string | null
  /** BCP 47, as the app sent it. */
  readonly locale: string | null
  /** The first time that a client proved to own the number; null: never. */
  readonly phoneVerifiedAt: number | null
  readonly removal: Removal | null
}

/** What changes of an account. A part that is absent stays as it is. */
export type AccountChanges = Partial<Omit<StoredAccount, 'id' | 'registeredAt'>>

/** A new account with nothing but a number. */
export function newAccount(phoneNumber: string, now: number): StoredAccount {
  return {
    id: newAccountId(now),
    phoneNumber,
    nickname: null,
    passwordHash: null,
    ban: null,
    registeredAt: now,
    avatarUrl: null,
    locale: null,
    phoneVerifiedAt: null,
    closesAt: null,
    removal: null,
  }
}

/** The account of a live session, as every signed-in request needs it. */
export interface SignedInAccount extends AccountFacts {
  readonly id: string
  /** E.164. */
  readonly phoneNumber: string | null
  readonly nickname: string | null
}

/** The account of a live session. */
export function toSignedInAccount(account: StoredAccount): SignedInAccount {
  const { id, phoneNumber, nickname } = account
  return { id, phoneNumber, nickname, ...factsOf(account) }
}
