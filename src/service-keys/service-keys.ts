// Service keys: create, list, rotate, revoke. When one of these returns, every server knows the change.
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChangeSubject, insertChangeOf } from '../changes/change-rows.ts'
import type { Feed } from '../changes/feed.ts'
import { announceLate } from '../changes/late-changes.ts'
import type { Clock } from '../clock.ts'
import type { Database } from '../database/schema.ts'
import { inTransaction } from '../database/transaction.ts'
import { AppError } from '../errors.ts'
import {
  type Event,
  listEventsOfKey,
  type NewEvent,
  type RequestOrigin,
  recordEvents,
} from '../events/events.ts'
import { everyoneKnowsMs } from '../timing.ts'
import { hashKeyText, issueKeyText, newKeyId } from './key-text.ts'
import {
  isRotating,
  isWithinRights,
  type KeyRights,
  keyStateAt,
  type ServiceKey,
  type StoredKey,
} from './service-key.ts'
import {
  countLiveKeys,
  deleteKeysOverBefore,
  findKey,
  insertKey,
  listKeys,
  revokeKey,
  rotateKey,
} from './service-key-rows.ts'

/** The most keys that are neither revoked nor expired: every server keeps all of them in memory. */
const liveKeysMax = 1_000
/** How long a key that is revoked or expired stays in the list. */
const keepOverMs = 90 * 86_400_000

export interface NewKey extends KeyRights {
  readonly name: string
}

/** A key with its text, which is shown once. */
export interface IssuedKey {
  readonly key: ServiceKey
  readonly text: string
}

/** The request for a change of keys. */
export interface KeyRequest {
  /** The key that requests it; null: an operator. */
  readonly by: string | null
  readonly origin: RequestOrigin
}

/** What a transaction wrote. */
interface Written<T> {
  readonly id: string
  readonly event: NewEvent
  readonly result: T
}

export interface ServiceKeysOptions {
  readonly db: Database
  readonly feed: Pick<Feed, 'expect' | 'history'>
  readonly clock: Clock
}

export class ServiceKeys {
  readonly #db: Database
  readonly #feed: Pick<Feed, 'expect' | 'history'>
  readonly #clock: Clock

  constructor({ db, feed, clock }: ServiceKeysOptions) {
    this.#db = db
    this.#feed = feed
    this.#clock = clock
  }

  /** Every key, in the order of creation; also those that ended in the last 90 days. */
  async list(): Promise<ServiceKey[]> {
    return await listKeys(this.#db)
  }

  /**
   * Creates a key.
   * @throws AppError `key_limit_reached`; `key_rights_exceeded` where its maker has fewer rights or has ended
   */
  async create({ name, ...rights }: NewKey, { by, origin }: KeyRequest): Promise<IssuedKey> {
    const id = newKeyId()
    const text = issueKeyText(id)
    const { scopes, networks, expiresAt } = rights
    const key = await this.#write(origin, async (tx, now) => {
      if (by !== null) await assertMakerMay(tx, by, rights, now)
      if ((await countLiveKeys(tx, now)) >= liveKeysMax) throw new AppError('key_limit_reached')
      const key: StoredKey = {
        id,
        name,
        ...rights,
        secretHash: hashKeyText(text),
        previousHash: null,
        previousUntil: null,
        createdAt: now,
        createdBy: by,
        rotatedAt: null,
        revokedAt: null,
        lastUsedAt: null,
      }
      await insertKey(tx, key)
      const words = { scopes: scopes.join(' '), networks: networks.join(' ') }
      const detail = { name, ...words, expires_at: expiresAt, by }
      return { id, event: { kind: 'key_created', keyId: id, detail }, result: key }
    })
    return { key, text }
  }

  /**
   * Gives a key a new secret. The present one stays valid for `keepMs`; with 0 it ends now, and so does one
   * before it that is still valid.
   * @throws AppError `key_not_found`, `key_revoked`, `key_expired`; `key_rotating` where the secret before
   * the present one is still valid and `keepMs` is not 0
   */
  async rotate(id: string, keepMs: number, { by, origin }: KeyRequest): Promise<IssuedKey> {
    const text = issueKeyText(id)
    const key = await this.#write(origin, async (tx, now) => {
      const previousUntil = keepMs === 0 ? null : now + keepMs
      const before = await getLive(tx, id, now)
      const secretHash = hashKeyText(text)
      const isDone = await rotateKey(tx, { id, secretHash, now, previousUntil })
      if (!isDone && isRotating(before, now)) throw new AppError('key_rotating')
      // Another process has rotated or revoked it since it was read.
      if (!isDone) throw new AppError('unavailable', { retryAfterSeconds: 1 })
      const detail = { previous_until: previousUntil, by }
      const result = { ...before, rotatedAt: now, previousUntil }
      return { id, event: { kind: 'key_rotated', keyId: id, detail }, result }
    })
    return { key, text }
  }

  /**
   * Revokes a key with all its secrets. Returns whether it was not revoked before.
   * @throws AppError `key_not_found`
   */
  async revoke(id: string, { by, origin }: KeyRequest): Promise<boolean> {
    return await this.#write(origin, async (tx, now) => {
      const wasLive = await revokeKey(tx, id, now)
      if (wasLive) return { id, event: { kind: 'key_revoked', keyId: id, detail: { by } }, result: true }
      if (!(await findKey(tx, id))) throw new AppError('key_not_found')
      return { id, event: null, result: false }
    })
  }

  /**
   * The events of a key, newest first.
   * @throws AppError `key_not_found`
   */
  async *listEvents(id: string): AsyncGenerator<Event> {
    if (!(await findKey(this.#db, id))) throw new AppError('key_not_found')
    yield* listEventsOfKey(this.#db, id)
  }

  /** Deletes up to `limit` keys that ended at least 90 days ago, and returns how many it deleted. */
  async deleteOld(now: number, limit: number): Promise<number> {
    return await deleteKeysOverBefore(this.#db, now - keepOverMs, limit)
  }

  /**
   * Writes a change with its event and its row in the feed, in one transaction. No cache outside of processes
   * holds keys, so nothing is marked: every server has read the feed a second after the commit, or asks the
   * database. A change without an event changed nothing now, but the one before may be that recent.
   */
  async #write<T>(
    origin: RequestOrigin,
    work: (tx: Database, now: number) => Promise<Omit<Written<T>, 'event'> & { event: NewEvent | null }>,
  ): Promise<T> {
    const { id, result, change, history, deadline } = await inTransaction(this.#db, async (tx, deadline) => {
      const { history } = this.#feed
      const now = this.#clock.now()
      const { id, event, result } = await work(tx, now)
      if (event) await recordEvents(tx, now, origin, [event])
      const change = event && (await insertChangeOf(tx, subjectOf(id), now))
      return { id, result, change, history, deadline }
    })
    if (change) {
      this.#feed.expect(change, history)
      const parts = { db: this.#db, clock: this.#clock, feed: this.#feed, history }
      await announceLate(parts, subjectOf(id), deadline)
    }
    await sleep(everyoneKnowsMs)
    return result
  }
}

function subjectOf(id: string): ChangeSubject {
  return { kind: 'service_key', id }
}

/** @throws AppError `key_not_found`, `key_revoked`, `key_expired` */
async function getLive(tx: Database, id: string, now: number): Promise<ServiceKey> {
  const key = await findKey(tx, id)
  if (!key) throw new AppError('key_not_found')
  const state = keyStateAt(key, now)
  if (state !== 'live') throw new AppError(`key_${state}`)
  return key
}

/** @throws AppError `key_rights_exceeded` */
async function assertMakerMay(tx: Database, id: string, rights: KeyRights, now: number): Promise<void> {
  const maker = await findKey(tx, id)
  if (!maker || keyStateAt(maker, now) !== 'live' || !isWithinRights(rights, maker))
    throw new AppError('key_rights_exceeded')
}
