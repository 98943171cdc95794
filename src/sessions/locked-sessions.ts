// The live sessions of one account, read once by a transaction that holds the account's lock: the check of
// the caller, the decision and the writer use the same rows. No other writer changes them until the commit.
import type { Database } from '../database/schema.ts'
import { mayLiveOnMs } from '../timing.ts'
import { type StoredAccount, toSignedInAccount } from './account.ts'
import {
  type ContenderFilter,
  type FewLiveSessions,
  listLiveContenders,
  listLiveSessionIds,
  readFewLiveSessions,
} from './live-session-rows.ts'
import type { Contender } from './policy.ts'
import type { StoredSession } from './session.ts'
import { findSession } from './session-rows.ts'

/** Of an account with more live sessions, each question is a statement of its own. */
const fewSessions = 50

/** The account whose sessions these are. */
export interface Owner {
  readonly id: string
  /** The account, locked; null: there is none, and each session is read by its id. */
  readonly account: StoredAccount | null
}

export class LockedSessions {
  readonly #tx: Database
  readonly #owner: Owner
  /** A use before the expiry may be written later, so a session counts as live for that long. */
  readonly #since: number
  #few: FewLiveSessions | null | undefined

  constructor(tx: Database, owner: Owner, now: number) {
    this.#tx = tx
    this.#owner = owner
    this.#since = now - mayLiveOnMs
  }

  /** A session of this account, live or not; null: it has none with this id. */
  async find(id: string): Promise<StoredSession | null> {
    await this.#read()
    const [known] = this.known([id]) ?? []
    if (known) return known
    const stored = await findSession(this.#tx, id)
    return stored?.session.accountId === this.#owner.id ? stored : null
  }

  /** All or the first `limit` live sessions, oldest first. */
  async listIds(limit: number | null): Promise<string[]> {
    const few = await this.#read()
    if (!few) return await listLiveSessionIds(this.#tx, this.#owner.id, this.#since, limit)
    return few.sessions.map(({ session }) => session.id).slice(0, limit ?? undefined)
  }

  /** All live sessions that fit, oldest first. */
  async listContenders(filter: ContenderFilter): Promise<Contender[]> {
    const few = await this.#read()
    if (!few) return await listLiveContenders(this.#tx, this.#owner.id, this.#since, filter)
    const { platform, deviceId } = filter
    return few.sessions
      .map(({ session }) => session)
      .filter((one) => platform === undefined || one.platform === platform)
      .filter((one) => deviceId === undefined || one.deviceId === deviceId)
  }

  /** These live sessions as they were read; null: not all of them were. */
  known(ids: readonly string[]): StoredSession[] | null {
    const owner = this.#owner.account
    const byId = new Map(this.#few?.sessions.map((one) => [one.session.id, one]))
    const found = ids.flatMap((id) => byId.get(id) ?? [])
    if (!owner || found.length < ids.length) return null
    const account = toSignedInAccount(owner)
    return found.map((one) => ({ ...one, account, ending: null }))
  }

  /** The greatest step of the feed that was visible when the sessions were read; null: it was not read. */
  get lastStep(): number | null {
    return this.#few?.lastStep ?? null
  }

  async #read(): Promise<FewLiveSessions | null> {
    if (this.#few === undefined)
      this.#few =
        this.#owner.account && (await readFewLiveSessions(this.#tx, this.#owner.id, this.#since, fewSessions))
    return this.#few
  }
}
