// Says whether a token is live: from this process's memory, from the cache entry of its session, or from the
// database. A token that was rotated away, and the first use of a successor, lead to a write.

import type { OnBackgroundError } from '../background-errors.ts'
import { BoundedMap } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'
import type { PrepareRead } from '../database/open.ts'
import type { Database } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import { type MaybePromise, mapMaybe } from '../maybe-promise.ts'
import { atLeastInClass } from '../queue-order.ts'
import {
  type CacheEntry,
  cacheMiss,
  type ReadTicket,
  type SessionCache,
} from '../session-cache/session-cache.ts'
import type { AccountWriter } from './account-writer.ts'
import { assertLive, type Caller } from './caller.ts'
import { endSession } from './end-session.ts'
import { LastSeenWriter, type SessionLifetime } from './last-seen.ts'
import { Rotations } from './rotation.ts'
import {
  type Ending,
  expiryOf,
  isBearer,
  isStillLive,
  type Live,
  liveOf,
  refusalOf,
  type Session,
  type StoredSession,
  type Verified,
} from './session.ts'
import { prepareFindSession } from './session-rows.ts'
import { hashToken, sessionIdOf } from './token.ts'
import { type PresentedToken, tokenStatusOf } from './token-status.ts'
import { newVerifiedToken, type VerifiedToken } from './verified-tokens.ts'

export interface VerificationOptions {
  readonly db: Database
  readonly writer: AccountWriter
  readonly prepareRead: PrepareRead
  readonly cache: SessionCache
  readonly clock: Clock
  readonly life: SessionLifetime
  /** From last-seen.ts. */
  readonly writeEveryMs: number
  /** Called with the errors of background work. */
  readonly onBackgroundError: OnBackgroundError
}

/** What a rotation answers: the live session with the token to use from now on, or why there is none. */
export type Rotated = (Live & { readonly token: string }) | Exclude<Verified, Live>

const maxTokens = 100_000
const unknown: Verified = { is: 'unknown' }

export class Verification {
  readonly #writer: AccountWriter
  readonly #cache: SessionCache
  readonly #clock: Clock
  readonly #lastSeen: LastSeenWriter
  readonly #rotations: Rotations
  /**
   * By token, in this process's memory and nowhere else. A lookup takes the same time however much of a guess
   * is right: the map compares a guess with a stored token only when their hashes, made with a secret of the
   * process, agree.
   */
  readonly #verifiedTokens = new BoundedMap<VerifiedToken>(maxTokens)
  readonly #findSession: ReturnType<typeof prepareFindSession>

  constructor(options: VerificationOptions) {
    this.#writer = options.writer
    this.#cache = options.cache
    this.#clock = options.clock
    this.#lastSeen = new LastSeenWriter({
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
   * The session of a token: live, ended for a reason, or unknown. Throws only where the database is
   * unreachable. Returns without a promise where this process has the answer in memory.
   */
  verify(token: string): MaybePromise<Verified> {
    const known = this.verifyFromMemory(token)
    if (known) return mapMaybe(known, ({ live }) => live)
    const id = sessionIdOf(token)
    if (id === null) return unknown
    const verified = this.#verifiedTokens.get(token)
    const presented = {
      token,
      id,
      tokenHash: verified?.tokenHash ?? hashToken(token),
      isVerified: verified !== undefined,
    }
    return mapMaybe(this.#cache.session(id), (entry) => this.#verifyByEntry(presented, entry))
  }

  /** Verifies a token from memory. null is no refusal: `verify` has to decide. */
  verifyFromMemory(token: string): MaybePromise<VerifiedToken> | null {
    this.#cache.dropStale()
    const verified = this.#verifiedTokens.get(token)
    if (verified === undefined || !this.#cache.isValid(verified.entry)) return null
    const now = this.#clock.now()
    if (now < verified.recheckAt * 1000) return verified
    return isStillLive(verified.live, now) ? this.#noteUse(verified, now) : null
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

  #noteUse(verified: VerifiedToken, now: number): MaybePromise<VerifiedToken> {
    return mapMaybe(this.#seen(verified.live, now), ({ session, account }) => {
      // An expired ban is compared with the clock at each check, because clocks can be set back.
      const isPlain = account.ban === null && account.closesAt === null
      const until = Math.min(session.expiresAt ?? Infinity, this.#lastSeen.recheckAt(session))
      verified.recheckAt = isPlain ? Math.floor(until / 1000) : 0
      return verified
    })
  }

  #verifyByEntry(presented: PresentedToken, entry: CacheEntry): MaybePromise<Verified> {
    const stored = entry.value
    if (stored === null || stored === 'marked') return this.#verifyInDatabase(presented)
    const now = this.#clock.now()
    const status = tokenStatusOf(stored, presented, now)
    // The token may be the result of a rotation a moment ago that this process has not seen yet, and must not
    // be refused for that.
    if (status === 'unknown') return this.#verifyInDatabase(presented)
    if (stored.ending) return this.#ended(presented, stored.ending)
    // Both lead to a write, so the database decides.
    if (status === 'successor' || status === 'reused') return this.#verifyInDatabase(presented)
    const live = liveFromEntry(stored, now)
    if (!live) return this.#verifyInDatabase(presented)
    // A previous token is not kept in memory: it is valid for a limited time, so each check must compare the
    // clock.
    if (status === 'current' && isBearer(live))
      this.#verifiedTokens.set(presented.token, newVerifiedToken(presented, entry, live))
    return this.#seen(live, now)
  }

  #verifyInDatabase(presented: PresentedToken): MaybePromise<Verified> {
    const ticket = this.#cache.beginRead()
    const find = () => this.#findSession(presented.id)
    // A flood of invented tokens must not delay the reads of clients that this process has seen before.
    const found = presented.isVerified ? atLeastInClass('known', find) : find()
    return mapMaybe(found, (stored) => this.#judge(presented, stored, ticket))
  }

  /** Judges a token by what the database says, and carries out what follows from it. */
  #judge(
    presented: PresentedToken,
    stored: StoredSession | null,
    ticket: ReadTicket | null,
  ): MaybePromise<Verified> {
    const now = this.#clock.now()
    const status = stored ? tokenStatusOf(stored, presented, now) : 'unknown'
    if (!stored || status === 'unknown') return unknown
    const { session, account } = stored
    const over = stored.ending ?? expiryOf(session, now)
    if (!over && status === 'reused') return this.#endReused(presented, session)
    const ending = over ?? refusalOf(account, now)
    if (!ending && status === 'successor') return this.#acceptSuccessor(presented, session)
    // Only a recorded state is cached: neither an expiry nor a ban or closing of the account.
    if (ticket && ending === stored.ending) void this.#cache.fill(ticket, [stored])
    if (ending) return this.#ended(presented, ending)
    const live = liveOf(stored)
    if (status === 'current' && !presented.isVerified && isBearer(live))
      this.#verifiedTokens.set(presented.token, newVerifiedToken(presented, cacheMiss, live))
    return this.#seen(live, now)
  }

  /**
   * The first use of a successor: it is accepted only after the previous token is retired on every server.
   * The token is right, so a flood of invented ones must not keep the write from a connection.
   */
  async #acceptSuccessor(presented: PresentedToken, { accountId }: Session): Promise<Verified> {
    const stored = await atLeastInClass('known', () => this.#rotations.retirePrevious(presented, accountId))
    return this.#judge(presented, stored, null)
  }

  /**
   * A token from before the last rotation: either its holder or the holder of the current token is a thief.
   * The server cannot tell which, so it ends the session.
   */
  async #endReused(presented: PresentedToken, { id, accountId }: Session): Promise<Verified> {
    const end = { id, accountId, reason: 'token_reused', by: null } as const
    await atLeastInClass('known', () => endSession(this.#writer, end))
    // Another request may have ended the session first, for another reason.
    return this.#verifyInDatabase(presented)
  }

  #seen(live: Live, now: number): MaybePromise<Live> {
    const urgent = this.#lastSeen.seen(live.session, now)
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
    const presented = { token, id, tokenHash: hashToken(token), isVerified: false }
    const successor = await this.#rotations.rotate(presented, accountId)
    if (successor !== null) return { ...verified, token: successor }
    // Between the check and the lock, another request used the successor or ended the session. Only the
    // database knows which, so no cache entry may answer.
    const refused = await this.#verifyInDatabase(presented)
    if (refused.is === 'live') throw new AppError('unavailable', { retryAfterSeconds: 1 })
    return refused
  }

  /** Writes the uses of sessions that are not written yet, and stops. */
  async close(): Promise<void> {
    await this.#lastSeen.close()
  }
}

/**
 * The live session of a cache entry; null where the entry does not show one. A session whose end is not in
 * the entry is refused only after a read of the database.
 */
function liveFromEntry(stored: CacheEntry['value'], now: number): Live | null {
  if (stored === null || stored === 'marked' || stored.ending) return null
  const live = liveOf(stored)
  return isStillLive(live, now) ? live : null
}
