// What a process may remember of the truth so that a check costs no SQL: the contract of mark, commit, settle.
//
// A transaction that ends a session or changes an account first takes the account's row lock, then `mark`s every copy
// that it touches, `confirm`s the marks before it commits, and `settle`s them afterwards. A marked copy means: ask the
// truth, and do not fill. docs/architecture.md tells why each rule is there; test/copies-model.test.ts searches the
// protocol whole and shows the trace that breaks it when a rule is left out.
import type { Ending, Session, SignedInAccount } from './session.ts'

export interface SessionCopy {
  readonly tokenHash: string
  readonly session: Session
  readonly ending: Ending | null
}

export interface AccountCopy extends SignedInAccount {
  /** The tutorial's `app_online`: has a live session. */
  readonly appOnline: boolean
}

export type CopyName = `session:${string}` | `account:${string}`

/** Copies to be written, by name. */
export type CopiesToWrite = ReadonlyMap<CopyName, SessionCopy | AccountCopy>

/** The marks of one transaction. */
export interface Mark {
  readonly id: string
  readonly names: readonly CopyName[]
}

/** Proof of when a read of the truth began; without it nothing may be filled. */
export interface ReadTicket {
  readonly run: string
  readonly beganAt: number
}

/** A promise costs a request more than a look into memory does. */
export type OrPromise<T> = T | Promise<T>

export interface Copies {
  /** The copy; 'marked' or null where the truth must be asked. At once where this process remembers it. Never throws. */
  session(id: string): OrPromise<SessionCopy | 'marked' | null>
  account(id: string): OrPromise<AccountCopy | 'marked' | null>
  /** To be called before the truth is read; null where nothing can be filled now. */
  beginRead(): ReadTicket | null
  /** Writes copies that are not there yet, if the read began a short while ago. Never throws: a copy is a favour. */
  fill(ticket: ReadTicket, copies: CopiesToWrite): Promise<void>
  /** Marks copies, inside the transaction and under the account's lock. Where they are out of reach, goes on trying. */
  mark(names: readonly CopyName[]): Promise<Mark>
  /** The last thing before a commit: makes sure that the marks stand where readers look now. */
  confirm(mark: Mark): Promise<void>
  /** After the commit: replaces our own marks by what is now true. Never throws: a mark that stays runs out. */
  settle(mark: Mark, copies: CopiesToWrite): Promise<void>
  /** Whether copies are in use at this moment. */
  isReachable(): boolean
  close(): Promise<void>
}
