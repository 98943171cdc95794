// Issues, lists and ends sessions. Every session begins here. verification.ts says whether a token is live.

import type { Clock } from '../clock.ts'
import type { Database } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import { type NewEvent, noOrigin, type RequestOrigin } from '../events/events.ts'
import { newCompactId, timeOfSessionId } from '../ids.ts'
import type { SessionCache } from '../session-cache/session-cache.ts'
import { mayLiveOnMs } from '../timing.ts'
import {
  type AccountChanges,
  type SignedInAccount,
  type StoredAccount,
  toSignedInAccount,
} from './account.ts'
import type { Change } from './account-change.ts'
import { assertNotBanned } from './account-state.ts'
import type { AccountWriter, Decision } from './account-writer.ts'
import type { EndReason } from './end-reason.ts'
import { type EndRequest, endSession } from './end-session.ts'
import {
  deviceProofFromKey,
  hasCreatedAccount,
  type KeyedSource,
  newSignInNonce,
  tokenFromKey,
} from './keyed-tokens.ts'
import type { SessionLifetime } from './last-seen.ts'
import { listLiveSessionIds, listLiveSessionIdsBefore, listLiveSessions } from './live-session-rows.ts'
import { lockAccount } from './locked-account-rows.ts'
import type { LockedSessions } from './locked-sessions.ts'
import { contendersOf, decide, type Policy } from './policy.ts'
import type { Session } from './session.ts'
import type { SessionCursor } from './session-pages.ts'
import { findSession } from './session-rows.ts'
import type { Repeatable, RepeatableSignIn } from './sign-in-repeat-rows.ts'
import { familyHashOf, hashToken, isSessionId, issueToken } from './token.ts'

/** What an app says about the device that it runs on. */
export type Device = Pick<Session, 'platform' | 'deviceId' | 'deviceName' | 'appVersion' | 'ip'>

/** What a sign-in method found out about the person, inside the transaction. */
export interface Admission {
  /** The account as it is now, locked. */
  readonly account: StoredAccount
  /** This sign-in created the account. */
  readonly isNew: boolean
  /** Ends all older sessions for this reason; null: the policy says which ones are replaced. */
  readonly endOthers: EndReason | null
  /** What changes of the account with the sign-in. */
  readonly set?: AccountChanges
  readonly events: readonly NewEvent[]
  /** The session that the first try of this sign-in made, where this one repeats it. */
  readonly repeats?: Repeatable
}

export interface IssueRequest {
  readonly device: Device
  readonly origin: RequestOrigin
  /**
   * The name of the sign-in method, or `given` for a session that an operator creates; the event records it.
   */
  readonly method: string
  /**
   * The fingerprint from sign-in-repeats.ts, for a sign-in that may be repeated; absent or null: it may not.
   */
  readonly fingerprint?: string | null
  /** The key of that sign-in. Absent: each try gets secrets of its own. */
  readonly key?: string | null
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
  /** Called after the commit; the ends of other sessions may not be known to every server yet. */
  readonly onCommitted?: () => void
}

/** Admits an account whose owner the caller has verified by other means. */
export function admitKnown(accountId: string): IssueRequest['admit'] {
  return async (tx) => {
    const account = await lockAccount(tx, accountId)
    return account && admitUnchanged(account)
  }
}

/** Admits an existing account without changing it. */
export function admitUnchanged(account: StoredAccount): Admission {
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

export interface EndAllRequest extends Omit<EndRequest, 'id'> {
  /** The session that stays; null: none. */
  readonly except: string | null
}

export interface EndLiveRequest extends Omit<EndRequest, 'id'> {
  /** Sessions that began at this time or later stay (milliseconds since 1970 UTC); null: none. */
  readonly startedBefore: number | null
  /** Called after the commit; the end is known to every server only when the promise is fulfilled. */
  readonly onCommitted?: () => void
}

export interface SessionsOptions {
  readonly db: Database
  readonly writer: AccountWriter
  readonly clock: Clock
  readonly policy: Policy
  readonly life: SessionLifetime
  readonly cache: Pick<SessionCache, 'findUses'>
}

/** What a sign-in returns to the client, beside what was written. */
type Issued = Pick<IssuedSession, 'token' | 'session' | 'created'>

/** How many sessions a list shows at once. */
export const sessionPageSize = 200

export class Sessions {
  readonly #options: SessionsOptions

  constructor(options: SessionsOptions) {
    this.#options = options
  }

  /**
   * Signs an account in on a device, in one transaction with the end of the sessions that the policy
   * replaces.
   * @returns null where the account is gone or `admit` said no
   * @throws AppError `account_banned`, `session_limit_reached`
   */
  async issue(request: IssueRequest): Promise<IssuedSession | null> {
    const { result, account, deviceProof } = await this.#options.writer.write({
      lock: request.admit,
      by: null,
      origin: request.origin,
      onCommitted: request.onCommitted,
      decide: async (admission, _tx, now): Promise<Decision<Issued | null>> => {
        if (!admission) return { change: null, result: null }
        assertNotBanned(admission.account, now)
        return admission.repeats
          ? repeatSignIn(request, admission.repeats, now)
          : await this.#signIn(request, admission, now)
      },
    })
    return result && account && { ...result, account: toSignedInAccount(account), deviceProof }
  }

  async #signIn(
    { device, method, fingerprint = null, key = null, deviceProof }: IssueRequest,
    {
      account,
      isNew: created,
      endOthers,
      set,
      events,
      sessions,
    }: Admission & { readonly sessions: LockedSessions },
    now: number,
  ): Promise<Decision<Issued>> {
    const session = this.#newSession(account.id, device, now)
    const nonce = newSignInNonce(created)
    const secrets = secretsOf({ key, sessionId: session.id, nonce })
    const { token } = secrets
    const repeatable = fingerprint === null ? null : { ...repeatableBy(token, fingerprint, now), nonce }
    const which = endOthers ? allSessions : await this.#replacedIds(sessions, session)
    // A sign-in by any method cancels the request to close the account.
    const reopened = account.closesAt === null ? null : { closesAt: null }
    const change: Change = {
      ...((set || reopened) && { set: { ...set, ...reopened } }),
      start: { session, tokenHash: hashToken(token), repeatable },
      ...(which && { end: { which, reason: endOthers ?? 'replaced' } }),
      ...(deviceProof && { deviceProof: { session, ...deviceProof, ...secrets.proof } }),
      events: [
        ...events,
        ...(reopened ? [{ kind: 'account_reopened', accountId: account.id } as const] : []),
        { ...about(session), kind: 'signed_in', detail: { method, platform: session.platform } },
      ],
    }
    return { change, result: { token, session, created } }
  }

  /**
   * A page of the account's live sessions, oldest first: up to `sessionPageSize` of them, those behind the
   * session `after`.
   */
  async list(accountId: string, after: string | null = null): Promise<Session[]> {
    const page = {
      now: this.#options.clock.now(),
      after: after === null ? null : cursorOf(after),
      limit: sessionPageSize,
    }
    const live = await listLiveSessions(this.#options.db, accountId, page)
    const uses = await this.#options.cache.findUses(live.map(({ session }) => session.id))
    // The database gets the last use seldom (last-seen.ts).
    return live.map(({ session }) => ({
      ...session,
      seenAt: Math.max(session.seenAt, uses.get(session.id) ?? 0),
    }))
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
    return (await findSession(this.#options.db, sessionId))?.session.accountId ?? null
  }

  /**
   * Ends a session of this account for a reason; `by` is the session that requested it. Also where another
   * request ended it first, no server accepts it when this returns.
   * @returns whether it was live until now
   * @throws AppError `session_not_found` where the account has no such session; the 401 of a caller that is
   * no longer live
   */
  async end(end: EndRequest): Promise<boolean> {
    const wasLive = isSessionId(end.id) ? await endSession(this.#options.writer, end) : null
    if (wasLive === null) throw new AppError('session_not_found')
    return wasLive
  }

  /**
   * Ends the account's sessions, all or all but one. No server accepts them when this returns.
   * @throws AppError `account_not_found`; the 401 of a caller that is no longer live
   */
  async endAll(request: EndAllRequest): Promise<number> {
    const { accountId, reason, by, except, origin = noOrigin } = request
    const end = { which: { allBut: except }, reason }
    return (await this.#options.writer.update({ accountId, by, origin, decide: async () => ({ end }) })).ended
  }

  /**
   * Ends the account's live sessions, all or those that began before a time. No server accepts them when
   * this returns. Where there is none, nothing is written.
   * @returns how many sessions ended
   * @throws AppError `account_not_found`; the 401 of a caller that is no longer live
   */
  async endLive(request: EndLiveRequest): Promise<number> {
    const { accountId, reason, by, startedBefore, origin = noOrigin, onCommitted } = request
    const { ended } = await this.#options.writer.update({
      accountId,
      by,
      origin,
      onCommitted,
      decide: async (tx, _account, now): Promise<Change> => {
        const since = now - mayLiveOnMs
        const which =
          startedBefore === null
            ? await listLiveSessionIds(tx, accountId, since, null)
            : await listLiveSessionIdsBefore(tx, accountId, since, startedBefore)
        return which.length > 0 ? { end: { which, reason } } : {}
      },
    })
    return ended
  }

  #newSession(accountId: string, device: Device, now: number): Session {
    const { platform, deviceId, deviceName, appVersion, ip } = device
    const expiresAt = this.#options.life.endFrom(now, now)
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
   * The sessions that the policy ends when `candidate` starts; null: none.
   * @throws AppError `session_limit_reached`
   */
  async #replacedIds(sessions: LockedSessions, candidate: Session): Promise<string[] | null> {
    const filter = contendersOf(this.#options.policy, candidate)
    if (filter === null) return null
    const contenders = await sessions.listContenders(filter)
    const replaced = decide(this.#options.policy, contenders, candidate)
    if (replaced === 'refused') throw new AppError('session_limit_reached')
    return replaced.length > 0 ? replaced : null
  }
}

const allSessions = { allBut: null } as const

/**
 * A repeated sign-in gets the token of its session again, so that it does not matter which answer the client
 * reads. Where the token cannot be made again (a server of the version before made it), the session gets
 * another one, and the previous one is invalid with the commit.
 */
function repeatSignIn(
  { method, deviceProof, key = null }: IssueRequest,
  { session, fingerprint, tokenHash, nonce }: Repeatable,
  now: number,
): Decision<Issued> {
  const created = hasCreatedAccount(nonce)
  const known = secretsOf({ key, sessionId: session.id, nonce: nonce ?? '' })
  const isSame = hashToken(known.token) === tokenHash
  const next = isSame ? (nonce ?? '') : newSignInNonce(created)
  const { token, proof } = isSame ? known : secretsOf({ key, sessionId: session.id, nonce: next })
  const to = { ...repeatableBy(token, fingerprint, now), nonce: next }
  const change: Change = {
    ...(!isSame && { token: { is: 'reissued', id: session.id, to } }),
    ...(deviceProof && { deviceProof: { session, ...deviceProof, ...proof } }),
    events: [{ ...about(session), kind: 'sign_in_repeated', detail: { method, platform: session.platform } }],
  }
  return { change, result: { token, session, created } }
}

interface Secrets {
  readonly token: string
  /** Absent: a random one. */
  readonly proof: { readonly text?: string }
}

/** Without a key they are random. */
function secretsOf({ key, ...rest }: Omit<KeyedSource, 'key'> & { readonly key: string | null }): Secrets {
  if (key === null) return { token: issueToken(rest.sessionId), proof: {} }
  const source = { key, ...rest }
  return { token: tokenFromKey(source), proof: { text: deviceProofFromKey(source) } }
}

/** What is stored beside a token whose sign-in can be repeated. */
function repeatableBy(token: string, fingerprint: string, at: number): Omit<RepeatableSignIn, 'nonce'> {
  return { fingerprint, tokenHash: hashToken(token), familyHash: familyHashOf(token), at }
}

/** The place in a list after a session, which may have ended: its id contains the time when it began. */
function cursorOf(id: string): SessionCursor {
  return { createdAt: timeOfSessionId(id), id }
}

function about(session: Session) {
  return { accountId: session.accountId, sessionId: session.id }
}
