// Issues, verifies, rotates, lists and ends sessions. The only place that creates or ends one.

import type { OnBackgroundError } from '../background-errors.ts'
import type { Clock } from '../clock.ts'
import type { PrepareRead } from '../database/open.ts'
import type { AccountsTable, Database, EndReason } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import { type NewEvent, noOrigin, type RequestOrigin } from '../events/events.ts'
import { newCompactId, timeOfSessionId } from '../ids.ts'
import { type MaybePromise, mapMaybe } from '../maybe-promise.ts'
import {
  type CacheEntry,
  cacheMiss,
  type ReadTicket,
  type SessionCache,
} from '../session-cache/session-cache.ts'
import { mayLiveOnMs } from '../timing.ts'
import type { Change } from './account-change.ts'
import { accountStateAt, assertNotBanned } from './account-state.ts'
import { type AccountWriter, type Decision, lockById } from './account-writer.ts'
import { assertLive, type Caller } from './caller.ts'
import { LastSeenWriter, type SessionLifetime } from './last-seen.ts'
import { contendersOf, decide, type Policy } from './policy.ts'
import { Rotations } from './rotation.ts'
import {
  type Ending,
  hasTimeLeft,
  isBearer,
  type Live,
  liveOf,
  type Session,
  type SignedInAccount,
  toSignedInAccount,
  type Verified,
} from './session.ts'
import {
  type AccountChange,
  findSession,
  listLiveContenders,
  listLiveSessions,
  lockAccount,
  prepareFindSession,
  type Repeatable,
  type RepeatableSignIn,
  type SessionCursor,
  type StoredSession,
} from './session-rows.ts'
import { familyHashOf, hashToken, isSessionId, issueToken, sessionIdOf } from './token.ts'
import { type PresentedToken, tokenStatusOf } from './token-status.ts'
import { type VerifiedToken, VerifiedTokens } from './verified-tokens.ts'

/** What an app says about the device that it runs on. */
export type Device = Pick<Session, 'platform' | 'deviceId' | 'deviceName' | 'appVersion' | 'ip'>

/** What a sign-in method found out about the person, inside the transaction. */
export interface Admission {
  /** The account's row, locked, as it is now. */
  readonly account: AccountsTable
  /** This sign-in created the account. */
  readonly isNew: boolean
  /** Ends all older sessions for this reason; null: the policy says which ones are replaced. */
  readonly endOthers: EndReason | null
  /** Columns of the account that change with the sign-in. */
  readonly set?: AccountChange
  readonly events: readonly NewEvent[]
  /** The session that the first try of this sign-in made, where this one repeats it. */
  readonly repeats?: Repeatable
}

export interface IssueRequest {
  readonly device: Device
  readonly origin: RequestOrigin
  /** How the person signs in; the event records it. */
  readonly method: 'password' | 'code' | 'given'
  /**
   * The fingerprint from sign-in-repeats.ts, for a sign-in that may be repeated; absent or null: it may not.
   */
  readonly fingerprint?: string | null
  /**
   * Runs first in the transaction: locks the account's row (or inserts it), and returns null to refuse the
   * sign-in.
   */
  readonly admit: (tx: Database) => Promise<Admission | null>
  /**
   * Gives the client a device proof; `presented` is the hash of a valid proof that it sent. Absent: it wants
   * none.
   */
  readonly deviceProof?: { readonly presented: string | null }
}

/** Admits an account whose owner the caller has verified by other means. */
export function admitKnown(accountId: string): IssueRequest['admit'] {
  return async (tx) => {
    const account = await lockAccount(tx, accountId)
    return account && admitUnchanged(account)
  }
}

/** Admits an existing account without changing it. */
export function admitUnchanged(account: AccountsTable): Admission {
  return { account, isNew: false, endOthers: null, events: [] }
}

export interface IssuedSession {
  /** Shown to the client once; only its hash is kept. */
  readonly token: string
  readonly session: Session
  readonly account: SignedInAccount
  /** This sign-in created the account. */
  readonly created: boolean
  /** A new device proof, shown to the client once; null: it has a valid one, or wants none. */
  readonly deviceProof: string | null
}

export interface EndRequest {
  readonly id: string
  readonly accountId: string
  readonly reason: EndReason
  /** The session that requests the end; null: an operator, or the server itself. */
  readonly by: Caller | null
  readonly origin?: RequestOrigin
}

export interface EndAllRequest extends Omit<EndRequest, 'id'> {
  /** The session that stays; null: none. */
  readonly except: string | null
}

export interface SessionsOptions {
  readonly db: Database
  readonly writer: AccountWriter
  readonly prepareRead: PrepareRead
  readonly cache: SessionCache
  readonly clock: Clock
  readonly policy: Policy
  readonly life: SessionLifetime
  /** Called with the errors of background work. */
  readonly onBackgroundError: OnBackgroundError
}

/** What a sign-in returns to the client, beside what was written. */
type SignedIn = Pick<IssuedSession, 'token' | 'session' | 'created'>

/** What a rotation answers: the live session with the token to use from now on, or why there is none. */
export type Rotated = (Live & { readonly token: string }) | Exclude<Verified, Live>

/** How many sessions a list shows at once. */
export const sessionPageSize = 200

const unknown: Verified = { is: 'unknown' }
export class Sessions {
  readonly #db: Database
  readonly #writer: AccountWriter
  readonly #cache: SessionCache
  readonly #clock: Clock
  readonly #policy: Policy
  readonly #life: SessionLifetime
  readonly #activity: LastSeenWriter
  readonly #rotations: Rotations
  readonly #verifiedTokens = new VerifiedTokens()
  readonly #findSession: ReturnType<typeof prepareFindSession>

  constructor(options: SessionsOptions) {
    this.#db = options.db
    this.#writer = options.writer
    this.#cache = options.cache
    this.#clock = options.clock
    this.#policy = options.policy
    this.#life = options.life
    this.#activity = new LastSeenWriter({
      ...options,
      onBackgroundError: (work, error) => {
        // Uses that could not be written are written with the next use.
        this.#verifiedTokens.clear()
        options.onBackgroundError(work, error)
      },
    })
    this.#rotations = new Rotations(options.writer)
    this.#findSession = prepareFindSession(options.db, options.prepareRead)
  }

  /**
   * Signs an account in on a device, in one transaction with the end of the sessions that the policy
   * replaces.
   * @returns null where the account is gone or `admit` said no
   * @throws AppError `account_banned`, `session_limit_reached`
   */
  async issue(request: IssueRequest): Promise<IssuedSession | null> {
    const { result, account, deviceProof } = await this.#writer.write({
      lock: request.admit,
      by: null,
      origin: request.origin,
      decide: async (admission, tx, now): Promise<Decision<SignedIn | null>> => {
        if (!admission) return { change: null, result: null }
        assertNotBanned(admission.account, now)
        return admission.repeats
          ? repeatSignIn(request, admission.repeats, now)
          : await this.#signIn(request, admission, { tx, now })
      },
    })
    return result && account && { ...result, account: toSignedInAccount(account), deviceProof }
  }

  async #signIn(
    { device, method, fingerprint = null, deviceProof }: IssueRequest,
    { account, isNew: created, endOthers, set, events }: Admission,
    { tx, now }: { readonly tx: Database; readonly now: number },
  ): Promise<Decision<SignedIn>> {
    const session = this.#newSession(account.id, device, now)
    const token = issueToken(session.id)
    const repeatable = fingerprint === null ? null : { ...repeatableBy(token, fingerprint, now), created }
    const which = endOthers ? allSessions : await this.#replacedIds(tx, session, now)
    // A sign-in by any method cancels the request to close the account.
    const reopened = account.closes_at === null ? null : { closes_at: null }
    const change: Change = {
      ...((set || reopened) && { set: { ...set, ...reopened } }),
      start: { session, tokenHash: hashToken(token), repeatable },
      ...(which && { end: { which, reason: endOthers ?? 'replaced' } }),
      ...(deviceProof && { deviceProof: { session, presented: deviceProof.presented } }),
      events: [
        ...events,
        ...(reopened ? [{ kind: 'account_reopened', accountId: account.id } as const] : []),
        { ...about(session), kind: 'signed_in', detail: { method, platform: session.platform } },
      ],
    }
    return { change, result: { token, session, created } }
  }

  /**
   * The session of a token: live, ended for a reason, or unknown. Throws only where the database is
   * unreachable. Returns without a promise where this process has the answer in memory.
   */
  verify(token: string): MaybePromise<Verified> {
    const known = this.verifyFromMemory(token)
    if (known) return mapMaybe(known, ({ live }) => live)
    const id = sessionIdOf(token)
    if (id === null) return unknown
    const proved = this.#verifiedTokens.get(token)
    const proof = {
      token,
      id,
      tokenHash: proved?.tokenHash ?? hashToken(token),
      isVerified: proved !== undefined,
    }
    return mapMaybe(this.#cache.session(id), (found) => this.#verifyByEntry(proof, found))
  }

  /** Verifies a token from memory. null is no refusal: `verify` has to decide. */
  verifyFromMemory(token: string): MaybePromise<VerifiedToken> | null {
    this.#cache.refresh()
    const proved = this.#verifiedTokens.get(token)
    if (proved === undefined || !this.#cache.isValid(proved.copy)) return null
    const now = this.#clock.now()
    if (now < proved.recheckAt * 1000) return proved
    return isStillLive(proved.live, now) ? this.#noteUse(proved, now) : null
  }

  /**
   * Refuses a caller whose session has ended since its token was verified. Unlike `verify` it has no
   * consequences: a token that was rotated away while its request was under way ends no session.
   * @throws AppError (or rejects with) the 401 of caller.ts
   */
  assertStillLive(caller: Caller): MaybePromise<void> {
    if (this.verifyFromMemory(caller.token)) return
    return mapMaybe(this.#findSession(caller.sessionId), (stored) =>
      assertLive(stored, caller, this.#clock.now()),
    )
  }

  #noteUse(proved: VerifiedToken, now: number): MaybePromise<VerifiedToken> {
    return mapMaybe(this.#seen(proved.live, now), ({ session, account }) => {
      // An expired ban is compared with the clock at each check, because clocks can be set back.
      const isPlain = account.ban === null && account.closesAt === null
      const until = Math.min(session.expiresAt ?? Infinity, this.#activity.recheckAt(session))
      proved.recheckAt = isPlain ? Math.floor(until / 1000) : 0
      return proved
    })
  }

  #verifyByEntry(proof: PresentedToken, found: CacheEntry): MaybePromise<Verified> {
    const copy = found.value
    if (copy === null || copy === 'marked') return this.#verifyInDatabase(proof)
    const now = this.#clock.now()
    const status = tokenStatusOf(copy, proof, now)
    // The token may be the result of a rotation a moment ago that this process has not seen yet, and must not
    // be refused for that.
    if (status === 'unknown') return this.#verifyInDatabase(proof)
    if (copy.ending) return this.#ended(proof, copy.ending)
    // Both lead to a write, so the database decides.
    if (status === 'successor' || status === 'reused') return this.#verifyInDatabase(proof)
    const live = liveFromEntry(copy, now)
    if (!live) return this.#verifyInDatabase(proof)
    // A previous token is not kept in memory: it is valid for a limited time, so each check must compare the
    // clock.
    if (status === 'current' && isBearer(live)) this.#verifiedTokens.add(proof, found, live)
    return this.#seen(live, now)
  }

  #verifyInDatabase(proof: PresentedToken): MaybePromise<Verified> {
    const ticket = this.#cache.beginRead()
    return mapMaybe(this.#findSession(proof.id), (stored) => this.#judge(proof, stored, ticket))
  }

  /** Judges a token by what the database says, and carries out what follows from it. */
  #judge(
    proof: PresentedToken,
    stored: StoredSession | null,
    ticket: ReadTicket | null,
  ): MaybePromise<Verified> {
    const now = this.#clock.now()
    const status = stored ? tokenStatusOf(stored, proof, now) : 'unknown'
    if (!stored || status === 'unknown') return unknown
    const { session, account } = stored
    const over = stored.ending ?? expiryOf(session, now)
    if (!over && status === 'reused') return this.#endReused(proof, session)
    const ending = over ?? refusalOf(account, now)
    if (!ending && status === 'successor') return this.#acceptSuccessor(proof, session)
    // Only a recorded state is cached: neither an expiry nor a ban or closing of the account.
    if (ticket && ending === stored.ending) void this.#cache.fill(ticket, [stored])
    if (ending) return this.#ended(proof, ending)
    const live = liveOf(stored)
    if (status === 'current' && !proof.isVerified && isBearer(live))
      this.#verifiedTokens.add(proof, cacheMiss, live)
    return this.#seen(live, now)
  }

  /**
   * The first use of a successor: it is accepted only after the previous token is retired on every server.
   */
  async #acceptSuccessor(proof: PresentedToken, { accountId }: Session): Promise<Verified> {
    return this.#judge(proof, await this.#rotations.retirePrevious(proof, accountId), null)
  }

  /**
   * A token from before the last rotation: either its holder or the holder of the current token is a thief.
   * The server cannot tell which, so it ends the session.
   */
  async #endReused(proof: PresentedToken, { id, accountId }: Session): Promise<Verified> {
    await this.#end({ id, accountId, reason: 'token_reused', by: null })
    // Another request may have ended the session first, for another reason.
    return this.#verifyInDatabase(proof)
  }

  #seen(live: Live, now: number): MaybePromise<Live> {
    const urgent = this.#activity.seen(live.session, now)
    return urgent ? urgent.then(() => live) : live
  }

  #ended({ token, isVerified }: PresentedToken, ending: Ending): Verified {
    if (isVerified) this.#verifiedTokens.delete(token)
    return { is: 'ended', ending }
  }

  /**
   * Returns the successor of this token. This token stays valid until the successor is first used, for a
   * minute at most, and until then gives the same successor again. Presented later, it ends the session as
   * `token_reused`.
   * @throws AppError `unavailable` where the session was refused under the lock and is live again
   */
  async rotate(token: string): Promise<Rotated> {
    const verified = await this.verify(token)
    if (verified.is !== 'live') return verified
    const { id, accountId } = verified.session
    const proof = { token, id, tokenHash: hashToken(token), isVerified: false }
    const successor = await this.#rotations.rotate(proof, accountId)
    if (successor !== null) return { ...verified, token: successor }
    // Between the check and the lock, another request used the successor or ended the session. Only the
    // database knows which, so no cache entry may answer.
    const refused = await this.#verifyInDatabase(proof)
    if (refused.is === 'live') throw new AppError('unavailable', { retryAfterSeconds: 1 })
    return refused
  }

  /**
   * A page of the account's live sessions, oldest first: up to `sessionPageSize` of them, those behind the
   * session `after`.
   */
  async list(accountId: string, after: string | null = null): Promise<Session[]> {
    const page = {
      now: this.#clock.now(),
      after: after === null ? null : cursorOf(after),
      limit: sessionPageSize,
    }
    return (await listLiveSessions(this.#db, accountId, page)).map(({ session }) => session)
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
   * Ends a session of this account for a reason; `by` is the session that requested it. Also where another
   * request ended it first, it is over on every server when this returns.
   * @returns whether it was live until now
   * @throws AppError `session_not_found` where the account has no such session; the 401 of a caller that is
   * no longer live
   */
  async end(end: EndRequest): Promise<boolean> {
    const wasLive = isSessionId(end.id) ? await this.#end(end) : null
    if (wasLive === null) throw new AppError('session_not_found')
    return wasLive
  }

  /** Ends a session as `end` does; null where the account has no such session. */
  async #end({ id, accountId, reason, by, origin = noOrigin }: EndRequest): Promise<boolean | null> {
    const { result } = await this.#writer.write({
      lock: lockById(accountId),
      by,
      origin,
      decide: async (_locked, tx, now): Promise<Decision<boolean | null>> => {
        const stored = await findSession(tx, id)
        if (stored?.session.accountId !== accountId) return { change: null, result: null }
        const wasLive = stored.ending === null && hasTimeLeft(stored.session, now - mayLiveOnMs)
        const end = { which: wasLive ? [id] : [], reason }
        return { change: { end, refresh: [id] }, result: wasLive }
      },
    })
    return result
  }

  /**
   * Ends the account's sessions, all or all but one. They are over on every server when this returns.
   * @throws AppError `account_not_found`; the 401 of a caller that is no longer live
   */
  async endAll(request: EndAllRequest): Promise<number> {
    const { accountId, reason, by, except, origin = noOrigin } = request
    const end = { which: { allBut: except }, reason }
    return (await this.#writer.update({ accountId, by, origin, decide: async () => ({ end }) })).ended
  }

  /** Writes the uses of sessions that are not written yet, and stops. */
  async close(): Promise<void> {
    await this.#writer.pendingEnds.close()
    await this.#activity.close()
  }

  #newSession(accountId: string, device: Device, now: number): Session {
    const { platform, deviceId, deviceName, appVersion, ip } = device
    const expiresAt = this.#life.endFrom(now, now)
    const id = newCompactId(now)
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

  /**
   * The sessions that the policy ends when `newcomer` starts; null: none.
   * @throws AppError `session_limit_reached`
   */
  async #replacedIds(tx: Database, newcomer: Session, now: number): Promise<string[] | null> {
    const filter = contendersOf(this.#policy, newcomer)
    if (filter === null) return null
    const contenders = await listLiveContenders(tx, newcomer.accountId, now - mayLiveOnMs, filter)
    const replaced = decide(this.#policy, contenders, newcomer)
    if (replaced === 'refused') throw new AppError('session_limit_reached')
    return replaced.length > 0 ? replaced : null
  }
}

const allSessions = { allBut: null } as const

/**
 * The session of a repeated sign-in gets another token. The previous one is invalid with the commit, and
 * nothing else changes.
 */
function repeatSignIn(
  { method, deviceProof }: IssueRequest,
  { session, fingerprint, created }: Repeatable,
  now: number,
): Decision<SignedIn> {
  const token = issueToken(session.id)
  const change: Change = {
    token: { is: 'reissued', id: session.id, to: repeatableBy(token, fingerprint, now) },
    ...(deviceProof && { deviceProof: { session, presented: deviceProof.presented } }),
    events: [{ ...about(session), kind: 'sign_in_repeated', detail: { method, platform: session.platform } }],
  }
  return { change, result: { token, session, created } }
}

/** What is stored beside a token whose sign-in can be repeated. */
function repeatableBy(token: string, fingerprint: string, at: number): RepeatableSignIn {
  return { fingerprint, tokenHash: hashToken(token), familyHash: familyHashOf(token), at }
}

/**
 * The live session of a cache entry; null where the entry does not show one. A session whose end is not in
 * the entry is refused only after a read of the database.
 */
function liveFromEntry(copy: CacheEntry['value'], now: number): Live | null {
  if (copy === null || copy === 'marked' || copy.ending) return null
  const live = liveOf(copy)
  return isStillLive(live, now) ? live : null
}

function isStillLive({ session, account }: Live, now: number): boolean {
  return hasTimeLeft(session, now) && accountStateAt(account, now) === 'active'
}

/** How an expired session ended; null where it has not expired. */
function expiryOf(session: Session, now: number): Ending | null {
  return hasTimeLeft(session, now) ? null : { reason: 'expired', at: session.expiresAt ?? now, by: null }
}

/** Why an account's sessions are refused at `now`; null where they are not. */
function refusalOf(account: SignedInAccount, now: number): Ending | null {
  const state = accountStateAt(account, now)
  if (state === 'active') return null
  return { reason: state === 'banned' ? 'banned' : 'account_closed', at: now, by: null }
}

/** The place in a list after a session, which may be over by now: its id contains the time when it began. */
function cursorOf(id: string): SessionCursor {
  return { createdAt: timeOfSessionId(id), id }
}

function about(session: Session) {
  return { accountId: session.accountId, sessionId: session.id }
}
