// Who is signed in: issue, verify, rotate, list and end sessions. The only place that makes or ends one.

import type { Clock } from '../clock.ts'
import type { PrepareRead } from '../db/open.ts'
import type { AccountsTable, Database, EndReason } from '../db/schema.ts'
import { type Deadline, inTransaction, takeLonger } from '../db/transaction.ts'
import { AppError } from '../errors.ts'
import { type NewEvent, noOrigin, type Origin, recordEnds, recordEvents } from '../events/events.ts'
import { newSessionId, timeOfSessionId } from '../ids.ts'
import { type OrPromise, whenKnown } from '../or-promise.ts'
import { accountStateAt, assertNotBanned } from './account-state.ts'
import { Activity, type Life } from './activity.ts'
import { assertLive, assertStillLive, type Caller } from './caller.ts'
import { insertChange } from './change-rows.ts'
import {
  type Copies,
  type Found,
  type Mark,
  nothingFound,
  type ReadTicket,
  type SessionCopy,
} from './copies.ts'
import {
  deleteDeviceProofsOf,
  deleteDeviceProofsOfSession,
  deleteDeviceProofsWithoutSession,
} from './device-proof-rows.ts'
import { keepDeviceProof } from './device-proofs.ts'
import { contendersOf, decide, type Policy } from './policy.ts'
import { type ProvedToken, ProvedTokens } from './proved-tokens.ts'
import { Rotations } from './rotation.ts'
import {
  deviceOf,
  type Ending,
  hasTimeLeft,
  type Live,
  mayLiveOnMs,
  type Session,
  type SignedInAccount,
  toSignedInAccount,
  type Verified,
} from './session.ts'
import {
  type AccountChange,
  deleteAccount,
  type EndOfSessions,
  endSessions,
  findLiveSessions,
  findSession,
  insertSession,
  type LiveSession,
  liveContenders,
  liveSessions,
  lockAccount,
  prepareFindSession,
  type Repeatable,
  type RepeatableSignIn,
  replaceUnusedToken,
  type SessionCursor,
  type StoredSession,
  updateAccount,
} from './session-rows.ts'
import { familyHashOf, hashToken, isSessionId, issueToken, sessionIdOf } from './token.ts'
import { type Proof, type Rotation, standingOf } from './token-standing.ts'

/** What an app says about the device that it runs on. */
export type Device = Pick<Session, 'platform' | 'deviceId' | 'deviceName' | 'appVersion' | 'ip'>

/** What a method of signing in found out about the person, inside the transaction. */
export interface Admission {
  /** The account's row, locked, as it is now. */
  readonly account: AccountsTable
  /** It was made by this sign-in. */
  readonly isNew: boolean
  /** Ends all older sessions for this reason; null: the policy says which ones are replaced. */
  readonly endOthers: EndReason | null
  readonly events: readonly NewEvent[]
  /** The session that the first try of this sign-in made, where this one repeats it. */
  readonly repeats?: Repeatable
}

export interface IssueRequest {
  readonly device: Device
  readonly origin: Origin
  /** How the person signs in; the event tells it. */
  readonly method: 'password' | 'code' | 'given'
  /** Of sign-in-repeats.ts, for a sign-in that may be repeated; absent or null: it may not. */
  readonly fingerprint?: string | null
  /** Runs first in the transaction: locks the account's row (or makes it), and says whether the sign-in may go on. null: no. */
  readonly admit: (tx: Database) => Promise<Admission | null>
  /** Gives the client a device proof; `presented` is the hash of a good one that it showed. Absent: it wants none. */
  readonly deviceProof?: { readonly presented: string | null }
}

/** Admits an account that is known already, for whoever has checked by other means who signs in. */
export function admitKnown(accountId: string): IssueRequest['admit'] {
  return async (tx) => {
    const account = await lockAccount(tx, accountId)
    return account && { account, isNew: false, endOthers: null, events: [] }
  }
}

export interface Issued {
  /** Shown to the client once; only its hash is kept. */
  readonly token: string
  readonly session: Session
  readonly account: SignedInAccount
  /** The account was made by this sign-in. */
  readonly created: boolean
  /** A new device proof, shown to the client once; null: it has a good one, or wants none. */
  readonly deviceProof: string | null
}

export interface EndRequest {
  readonly id: string
  readonly accountId: string
  readonly reason: EndReason
  /** The session that asks for it; null: an operator, or the server itself. */
  readonly by: Caller | null
  readonly origin?: Origin
}

export interface EndAllRequest extends Omit<EndRequest, 'id'> {
  /** The session that stays; null: none. */
  readonly except: string | null
}

/** What is to happen to an account. */
export interface Change {
  /** The columns that change; null: the account is removed, with everything that hangs on it. */
  readonly set: AccountChange | null
  /** Which sessions end: all, or all but one. Absent: none. */
  readonly end?: Pick<EndAllRequest, 'reason' | 'except'>
  readonly events: readonly NewEvent[]
}

export interface ChangeRequest {
  readonly accountId: string
  /** The session that asks for it; null: an operator, the server itself, or a person that has proved the number. */
  readonly by: Caller | null
  readonly origin: Origin
  /** Runs under the account's lock with its row, checks what must still be so, and says what changes. */
  readonly decide: (tx: Database, row: AccountsTable, now: number) => Promise<Change>
}

export interface Changed {
  /** The row as it is now; null: removed. */
  readonly account: AccountsTable | null
  /** How many sessions ended. */
  readonly ended: number
}

export interface SessionsOptions {
  readonly db: Database
  readonly prepareRead: PrepareRead
  readonly copies: Copies
  readonly clock: Clock
  readonly policy: Policy
  readonly life: Life
  /** Told what went wrong off the path of any request. */
  readonly onTrouble: (error: unknown) => void
}

interface SignInWork extends IssueRequest {
  readonly admission: Admission
  readonly ticket: ReadTicket | null
  readonly now: number
  readonly deadline: Deadline
}

interface RepeatWork extends IssueRequest {
  readonly admission: Admission
  readonly repeats: Repeatable
  readonly now: number
}

/** What a sign-in wrote, and what is to be told to the copies after the commit. */
interface SignInWritten {
  readonly mark: Mark
  readonly settled: readonly SessionCopy[]
  readonly position: number
  /** null: the copy is settled already. */
  readonly ticket: ReadTicket | null
  readonly copy: SessionCopy
  readonly token: string
  readonly created: boolean
  readonly deviceProof: string | null
}

/** What a rotation answers: the live session with the token to use from now on, or why there is none. */
export type Rotated = (Live & { readonly token: string }) | Exclude<Verified, Live>

/** How many sessions a list shows at once. */
export const sessionPageSize = 200

const unknown: Verified = { is: 'unknown' }
/**
 * Of more sessions than this no cache entries are marked one by one: the change is settled through the feed alone, which takes
 * a second (copies.ts).
 */
const markedAtOnce = 1_000
/** Ends of more sessions than this are told by a statement of their own. */
const toldAtOnce = 50

export class Sessions {
  readonly #db: Database
  readonly #copies: Copies
  readonly #clock: Clock
  readonly #policy: Policy
  readonly #life: Life
  readonly #activity: Activity
  readonly #rotations: Rotations
  readonly #proved = new ProvedTokens()
  readonly #findSession: ReturnType<typeof prepareFindSession>

  constructor(options: SessionsOptions) {
    this.#db = options.db
    this.#copies = options.copies
    this.#clock = options.clock
    this.#policy = options.policy
    this.#life = options.life
    this.#activity = new Activity({
      ...options,
      onTrouble: (error) => {
        // Uses that could not be noted are noted with the next one.
        this.#proved.clear()
        options.onTrouble(error)
      },
    })
    this.#rotations = new Rotations(options)
    this.#findSession = prepareFindSession(options.db, options.prepareRead)
  }

  /**
   * Signs an account in on a device, in one transaction with the end of the sessions that the policy replaces.
   * @returns null where the account is gone or `admit` said no
   * @throws AppError `account_banned`, `session_limit_reached`
   */
  async issue(request: IssueRequest): Promise<Issued | null> {
    const work = await inTransaction(this.#db, async (tx, deadline) => {
      const ticket = this.#copies.beginRead()
      const admission = await request.admit(tx)
      if (!admission) return null
      // The clock is read under the lock, so that sessions of one account are as old as their order says.
      const now = this.#clock.now()
      assertNotBanned(admission.account, now)
      return admission.repeats
        ? await this.#writeRepeat(tx, { ...request, admission, repeats: admission.repeats, now })
        : await this.#writeSignIn(tx, { ...request, admission, ticket, now, deadline })
    })
    if (!work) return null
    const { token, copy, ticket, position, created, deviceProof } = work
    await this.#copies.settle(work.mark, work.settled, position)
    // A new session's copy, so that its first check needs no SQL.
    if (ticket) await this.#copies.fill({ ...ticket, position }, [copy])
    return { token, session: copy.session, account: copy.account, created, deviceProof }
  }

  async #writeSignIn(
    tx: Database,
    {
      device,
      origin,
      method,
      fingerprint = null,
      deviceProof: wanted,
      admission,
      ticket,
      now,
      deadline,
    }: SignInWork,
  ): Promise<SignInWritten> {
    const { row, events } = await takeBackClosing(tx, admission.account, now)
    const account = toSignedInAccount(row)
    const session = this.#newSession(account.id, device, now)
    const token = issueToken(session.id)
    const tokenHash = hashToken(token)
    const created = admission.isNew
    const repeatable = fingerprint === null ? null : { ...repeatableBy(token, fingerprint, now), created }
    const reason = admission.endOthers ?? 'replaced'
    const ids = await this.#replacedIds(tx, session, { all: admission.endOthers !== null, now })
    if (ids.length > markedAtOnce) takeLonger(deadline)
    const replaced = ids.length > markedAtOnce ? null : await findLiveSessions(tx, ids)
    const mark = await this.#copies.mark(replaced === null ? 'many' : ids)
    await insertSession(tx, session, tokenHash, repeatable)
    const end = { ids, at: now, reason, by: session.id }
    if (admission.endOthers) await deleteDeviceProofsOf(tx, account.id, null)
    const { phoneNumber } = account
    const deviceProof = wanted ? await keepDeviceProof(tx, wanted.presented, { session, phoneNumber }) : null
    await this.#endAndTell(tx, { accountId: account.id, end, origin }, [
      ...admission.events,
      ...events,
      { ...about(session), kind: 'signed_in', detail: { method, platform: session.platform } },
    ])
    // A new session by itself invalidates no cache entry.
    const invalidates = ids.length > 0 || events.length > 0
    const position = invalidates ? await insertChange(tx, account.id, now) : (ticket?.position ?? 0)
    await this.#copies.confirm(mark)
    const ending: Ending = { reason, at: now, by: deviceOf(session) }
    const settled = (replaced ?? []).map((old) => ({ ...old, account, ending }))
    const copy = { session, account, tokenHash, ending: null, rotation: rotationOf(repeatable) }
    return { ticket, mark, position, settled, token, copy, created, deviceProof }
  }

  /** The session of a sign-in that is repeated gets another token; the one before is over with the commit, and nothing else changes. */
  async #writeRepeat(
    tx: Database,
    { origin, method, deviceProof: wanted, admission, repeats, now }: RepeatWork,
  ): Promise<SignInWritten> {
    const { session, fingerprint, created } = repeats
    const account = toSignedInAccount(admission.account)
    const token = issueToken(session.id)
    const next = repeatableBy(token, fingerprint, now)
    const mark = await this.#copies.mark([session.id])
    await replaceUnusedToken(tx, session.id, next)
    // The proof of the answer that was lost is nobody's.
    if (wanted?.presented === null) await deleteDeviceProofsOfSession(tx, account.id, session.id)
    const { phoneNumber } = account
    const deviceProof = wanted ? await keepDeviceProof(tx, wanted.presented, { session, phoneNumber }) : null
    const detail = { method, platform: session.platform }
    await recordEvents(tx, now, origin, [{ ...about(session), kind: 'sign_in_repeated', detail }])
    const position = await insertChange(tx, account.id, now)
    await this.#copies.confirm(mark)
    const copy = { session, account, tokenHash: next.tokenHash, ending: null, rotation: rotationOf(next) }
    return { ticket: null, mark, position, settled: [copy], token, copy, created, deviceProof }
  }

  /**
   * Whose token this is: a live session, one that ended for a reason, or unknown. Throws only where the truth is out of
   * reach. At once, without a promise, where this process remembers the answer.
   */
  verify(token: string): OrPromise<Verified> {
    const known = this.recognize(token)
    if (known) return whenKnown(known, ({ live }) => live)
    const id = sessionIdOf(token)
    if (id === null) return unknown
    const proved = this.#proved.get(token)
    const proof = {
      token,
      id,
      tokenHash: proved?.tokenHash ?? hashToken(token),
      isProved: proved !== undefined,
    }
    return whenKnown(this.#copies.session(id), (found) => this.#verifyByCopy(proof, found))
  }

  /** A token whose session is live, where this process remembers that it is; null says nothing: `verify` knows. */
  recognize(token: string): OrPromise<ProvedToken> | null {
    this.#copies.refresh()
    const proved = this.#proved.get(token)
    if (proved === undefined || !this.#copies.believes(proved.copy)) return null
    const now = this.#clock.now()
    if (now < proved.quietUntil * 1000) return proved
    return isStillLive(proved.live, now) ? this.#noteUse(proved, now) : null
  }

  /**
   * Refuses a caller whose session has ended since its token was verified. Unlike `verify` it has no consequences: a token
   * that was rotated away while its request was under way ends no session.
   * @throws AppError (or rejects with) the 401 of caller.ts
   */
  assertStillLive(caller: Caller): OrPromise<void> {
    if (this.recognize(caller.token)) return
    return whenKnown(this.#findSession(caller.sessionId), (stored) =>
      assertLive(stored, caller, this.#clock.now()),
    )
  }

  #noteUse(proved: ProvedToken, now: number): OrPromise<ProvedToken> {
    return whenKnown(this.#seen(proved.live, now), ({ session, account }) => {
      // A ban that is over is looked at each time: clocks can be set back.
      const isPlain = account.ban === null && account.closesAt === null
      const until = Math.min(session.expiresAt ?? Infinity, this.#activity.quietUntil(session))
      proved.quietUntil = isPlain ? Math.floor(until / 1000) : 0
      return proved
    })
  }

  #verifyByCopy(proof: Proof, found: Found): OrPromise<Verified> {
    const copy = found.value
    if (copy === null || copy === 'marked') return this.#verifyByTruth(proof)
    const now = this.#clock.now()
    const standing = standingOf(copy, proof, now)
    // Somebody may have rotated a moment ago, and the news is still under way: a new token must not be refused for it.
    if (standing === 'unknown') return this.#verifyByTruth(proof)
    if (copy.ending) return this.#ended(proof, copy.ending)
    // What follows from these is written, so the truth decides.
    if (standing === 'successor' || standing === 'reused') return this.#verifyByTruth(proof)
    const live = liveBy(copy, now)
    if (!live) return this.#verifyByTruth(proof)
    // A previous token is not remembered: it is good for a time, and each look must see the clock.
    if (standing === 'current') this.#proved.add(proof, found, live)
    return this.#seen(live, now)
  }

  #verifyByTruth(proof: Proof): OrPromise<Verified> {
    const ticket = this.#copies.beginRead()
    return whenKnown(this.#findSession(proof.id), (stored) => this.#judge(proof, stored, ticket))
  }

  /** What the truth says of a token, and what follows from it. */
  #judge(proof: Proof, stored: StoredSession | null, ticket: ReadTicket | null): OrPromise<Verified> {
    const now = this.#clock.now()
    const standing = stored ? standingOf(stored, proof, now) : 'unknown'
    if (!stored || standing === 'unknown') return unknown
    const { session, account } = stored
    const over = stored.ending ?? expiryOf(session, now)
    if (!over && standing === 'reused') return this.#endReused(proof, session)
    const ending = over ?? barOf(account, now)
    if (!ending && standing === 'successor') return this.#acceptSuccessor(proof, session)
    // Only what is recorded is copied: neither that time has run out nor that the account is barred.
    if (ticket && ending === stored.ending) void this.#copies.fill(ticket, [stored])
    if (ending) return this.#ended(proof, ending)
    const live = { is: 'live', session, account } as const
    if (standing === 'current' && !proof.isProved) this.#proved.add(proof, nothingFound, live)
    return this.#seen(live, now)
  }

  /** The first use of a successor: nobody is told that it is good before the token before it is over everywhere. */
  async #acceptSuccessor(proof: Proof, { accountId }: Session): Promise<Verified> {
    return this.#judge(proof, await this.#rotations.retirePrevious(proof, accountId), null)
  }

  /** A token of the past: its holder or that of the present one is a thief, and nobody can tell which, so both are out. */
  async #endReused(proof: Proof, { id, accountId }: Session): Promise<Verified> {
    await this.#end({ id, accountId, reason: 'token_reused', by: null })
    // Somebody else may have ended it first, for another reason.
    return this.#verifyByTruth(proof)
  }

  #seen(live: Live, now: number): OrPromise<Live> {
    const urgent = this.#activity.seen(live.session, now)
    return urgent ? urgent.then(() => live) : live
  }

  #ended({ token, isProved }: Proof, ending: Ending): Verified {
    if (isProved) this.#proved.delete(token)
    return { is: 'ended', ending }
  }

  /**
   * The token that follows this one. This one stays good until the successor is first used, for a minute at most, and
   * meanwhile gives the same successor again; shown later, it ends the session as `token_reused`.
   * @throws AppError `unavailable` where the session was refused under the lock and is live again
   */
  async rotate(token: string): Promise<Rotated> {
    const verified = await this.verify(token)
    if (verified.is !== 'live') return verified
    const { id, accountId } = verified.session
    const proof = { token, id, tokenHash: hashToken(token), isProved: false }
    const successor = await this.#rotations.rotate(proof, accountId)
    if (successor !== null) return { ...verified, token: successor }
    // Between the check and the lock somebody used the successor or ended the session: the truth knows, no copy may.
    const refused = await this.#verifyByTruth(proof)
    if (refused.is === 'live') throw new AppError('unavailable', { retryAfterSeconds: 1 })
    return refused
  }

  /** A page of the account's live sessions, oldest first: up to `sessionPageSize` of them, those behind the session `after`. */
  async list(accountId: string, after: string | null = null): Promise<Session[]> {
    const page = {
      now: this.#clock.now(),
      after: after === null ? null : cursorOf(after),
      limit: sessionPageSize,
    }
    return (await liveSessions(this.#db, accountId, page)).map(({ session }) => session)
  }

  /** All live sessions of the account, oldest first, read page by page. */
  async *listAll(accountId: string): AsyncGenerator<Session> {
    for (let after: string | null = null; ; ) {
      const page = await this.list(accountId, after)
      yield* page
      after = page.at(-1)?.id ?? null
      if (page.length < sessionPageSize) return
    }
  }

  /** The account that a session belongs to, live or not; null where there is no such session. */
  async findOwner(sessionId: string): Promise<string | null> {
    return (await this.#findSession(sessionId))?.session.accountId ?? null
  }

  /**
   * Ends a session of this account for a reason; `by` is the session that asked for it. Whoever ended it first, it is
   * dead on every server when this returns.
   * @returns whether it was live until now
   * @throws AppError `session_not_found` where the account has no such session; the 401 of a caller that is not live any more
   */
  async end(end: EndRequest): Promise<boolean> {
    const wasLive = isSessionId(end.id) ? await this.#end(end) : null
    if (wasLive === null) throw new AppError('session_not_found')
    return wasLive
  }

  /** The same; null where the account has no such session. */
  async #end({ id, accountId, reason, by, origin = noOrigin }: EndRequest): Promise<boolean | null> {
    const work = await inTransaction(this.#db, async (tx) => {
      await lockAccount(tx, accountId)
      const now = this.#clock.now()
      if (by) await assertStillLive(tx, accountId, by, now)
      const stored = await findSession(tx, id)
      if (stored?.session.accountId !== accountId) return null
      const mark = await this.#copies.mark([id])
      const wasLive = stored.ending === null && hasTimeLeft(stored.session, now - mayLiveOnMs)
      if (wasLive) {
        await endSessions(tx, { ids: [id], at: now, reason, by: by?.sessionId ?? null })
        await recordEvents(tx, now, origin, [endedEvent(stored.session, reason, by?.sessionId ?? null)])
      }
      // Removed by the owner, or used by two at once: the device is not the owner's any more. Its proofs from earlier sign-ins belong
      // to sessions that are over, which no list shows: nobody could remove them one by one.
      if (reason !== 'signed_out') await deleteDeviceProofsWithoutSession(tx, accountId, now)
      // Read again only for what has just been written: which device ended it.
      const ended = wasLive ? await findSession(tx, id) : stored
      const position = await insertChange(tx, accountId, now)
      await this.#copies.confirm(mark)
      return { mark, position, wasLive, copies: ended?.ending ? [ended] : [] }
    })
    if (!work) return null
    await this.#copies.settle(work.mark, work.copies, work.position)
    return work.wasLive
  }

  /**
   * Ends the account's sessions, all or all but one; dead on every server when this returns.
   * @throws AppError `account_not_found`; the 401 of a caller that is not live any more
   */
  async endAll(request: EndAllRequest): Promise<number> {
    const { accountId, reason, by, except, origin = noOrigin } = request
    const decide = async () => ({ set: {}, end: { reason, except }, events: [] })
    return (await this.changeAccount({ accountId, by, origin, decide })).ended
  }

  /**
   * Changes an account under its lock and ends sessions of it, in one transaction; what ended is dead on every server
   * when this returns. The only way to change what copies know of an account.
   * @throws AppError `account_not_found`, the 401 of a caller that is not live any more, and whatever `decide` throws
   */
  async changeAccount({ accountId, by, origin, decide }: ChangeRequest): Promise<Changed> {
    const done = await inTransaction(this.#db, async (tx, deadline) => {
      const row = await lockAccount(tx, accountId)
      const now = this.#clock.now()
      if (by) await assertStillLive(tx, accountId, by, now)
      if (!row) throw new AppError('account_not_found')
      const { set, end, events } = await decide(tx, row, now)
      const byId = by?.sessionId ?? null
      const since = now - mayLiveOnMs
      const live = await liveSessions(tx, accountId, { now: since, limit: markedAtOnce + 1 })
      const isMany = live.length > markedAtOnce
      if (isMany) takeLonger(deadline)
      const mark = await this.#copies.mark(isMany ? 'many' : live.map(idOf))
      const ids = end ? (isMany ? await liveContenders(tx, accountId, since) : live.map(sessionOf)) : []
      const ended = ids.map(({ id }) => id).filter((id) => id !== end?.except)
      const account = await this.#write(tx, row, set, now)
      if (end) {
        // The way back of an owner, whatever it is: no thief keeps a proof. Those for a number that the account leaves are worth nothing.
        const leavesNumber = account?.phone_number !== row.phone_number
        if (account) await deleteDeviceProofsOf(tx, accountId, leavesNumber ? null : end.except)
      }
      const ending = end && { ids: ended, at: now, reason: end.reason, by: byId }
      await this.#endAndTell(tx, { accountId, end: ending ?? null, origin }, events)
      const position = await insertChange(tx, accountId, now)
      await this.#copies.confirm(mark)
      return {
        mark,
        position,
        copies: isMany ? [] : copiesAfter(account, live, end && { ...end, by: byId }, now),
        account,
        ended: ended.length,
      }
    })
    await this.#copies.settle(done.mark, done.copies, done.position)
    return done
  }

  /** The row after a change. */
  async #write(
    tx: Database,
    row: AccountsTable,
    set: AccountChange | null,
    now: number,
  ): Promise<AccountsTable | null> {
    if (set === null) {
      await deleteAccount(tx, row.id)
      return null
    }
    return Object.keys(set).length === 0 ? row : await updateAccount(tx, row, set, now)
  }

  /** Writes what is still to be noted about sessions that were seen, and stops noting. */
  async close(): Promise<void> {
    await this.#activity.close()
  }

  #newSession(accountId: string, device: Device, now: number): Session {
    const { platform, deviceId, deviceName, appVersion, ip } = device
    const expiresAt = this.#life.endFrom(now, now)
    const id = newSessionId(now)
    return {
      id,
      accountId,
      platform,
      deviceId,
      deviceName,
      appVersion,
      ip,
      createdAt: now,
      seenAt: now,
      expiresAt,
    }
  }

  /** Ends sessions, and tells it with the other events of the transaction. */
  async #endAndTell(
    tx: Database,
    { accountId, end, origin }: { accountId: string; end: EndOfSessions | null; origin: Origin },
    events: readonly NewEvent[],
  ): Promise<void> {
    const { ids = [], at = this.#clock.now(), reason = 'signed_out', by = null } = end ?? {}
    if (end) await endSessions(tx, end)
    const detail = { reason, by }
    const told = (sessionId: string) => ({ accountId, sessionId, kind: 'session_ended', detail }) as const
    const isFew = ids.length <= toldAtOnce
    await recordEvents(tx, at, origin, isFew ? [...events, ...ids.map(told)] : events)
    if (!isFew) await recordEnds(tx, at, origin, { ids, detail })
  }

  /** The sessions that end when `newcomer` starts: all, or those that the policy replaces. @throws AppError `session_limit_reached` */
  async #replacedIds(
    tx: Database,
    newcomer: Session,
    { all, now }: { all: boolean; now: number },
  ): Promise<string[]> {
    const since = now - mayLiveOnMs
    if (all) return (await liveContenders(tx, newcomer.accountId, since)).map(({ id }) => id)
    const filter = contendersOf(this.#policy, newcomer)
    if (filter === null) return []
    const contenders = await liveContenders(tx, newcomer.accountId, since, filter)
    const replaced = decide(this.#policy, contenders, newcomer)
    if (replaced === 'refused') throw new AppError('session_limit_reached')
    return replaced
  }
}

/** What is stored beside a token whose sign-in can be repeated. */
function repeatableBy(token: string, fingerprint: string, at: number): RepeatableSignIn {
  return { fingerprint, tokenHash: hashToken(token), familyHash: familyHashOf(token), at }
}

/** The first use of such a token is to be written, as that of a successor is. */
function rotationOf(repeatable: RepeatableSignIn | null): Rotation | null {
  if (!repeatable) return null
  const { familyHash, fingerprint, at } = repeatable
  return { familyHash, pending: { previousHash: fingerprint, rotatedAt: at } }
}

/** What a copy says where it says yes. Before anything is refused that a copy does not record as ended, the truth is asked. */
function liveBy(copy: Found['value'], now: number): Live | null {
  if (copy === null || copy === 'marked' || copy.ending) return null
  const { session, account } = copy
  const live = { is: 'live', session, account } as const
  return isStillLive(live, now) ? live : null
}

function isStillLive({ session, account }: Live, now: number): boolean {
  return hasTimeLeft(session, now) && accountStateAt(account, now) === 'active'
}

/** How a session whose time has run out ended; null where it has time left. */
function expiryOf(session: Session, now: number): Ending | null {
  return hasTimeLeft(session, now) ? null : { reason: 'expired', at: session.expiresAt ?? now, by: null }
}

/** Why an account's sessions are refused at `now`; null where they are not. */
function barOf(account: SignedInAccount, now: number): Ending | null {
  const state = accountStateAt(account, now)
  if (state === 'active') return null
  return { reason: state === 'banned' ? 'banned' : 'account_closed', at: now, by: null }
}

function idOf({ session }: LiveSession): string {
  return session.id
}

/** Where a list goes on behind a session, which may be over meanwhile: its id tells when it began. */
function cursorOf(id: string): SessionCursor {
  return { createdAt: timeOfSessionId(id), id }
}

function sessionOf({ session }: LiveSession): Session {
  return session
}

function about(session: Session) {
  return { accountId: session.accountId, sessionId: session.id }
}

function endedEvent(session: Session, reason: EndReason, by: string | null): NewEvent {
  return { ...about(session), kind: 'session_ended', detail: { reason, by } }
}

/** What the copies of an account's sessions say after a change; of a removed account there is nothing to say. */
function copiesAfter(
  row: AccountsTable | null,
  live: readonly LiveSession[],
  end: (NonNullable<Change['end']> & { readonly by: string | null }) | undefined,
  now: number,
): SessionCopy[] {
  if (!row) return []
  const account = toSignedInAccount(row)
  const ender = live.find(({ session }) => session.id === end?.by)
  const ending = end && { reason: end.reason, at: now, by: ender ? deviceOf(ender.session) : null }
  return live.map((one) => ({ ...one, account, ending: isEnded(one, end) ? (ending ?? null) : null }))
}

function isEnded({ session }: LiveSession, end: Change['end']): boolean {
  return end !== undefined && session.id !== end.except
}

/** Signing in, by whatever method, takes back the wish to close the account. */
async function takeBackClosing(
  tx: Database,
  row: AccountsTable,
  now: number,
): Promise<{ row: AccountsTable; events: readonly NewEvent[] }> {
  if (row.closes_at === null) return { row, events: [] }
  const reopened = await updateAccount(tx, row, { closes_at: null }, now)
  return { row: reopened, events: [{ kind: 'account_reopened', accountId: row.id }] }
}
