// Notes when service keys were used, and from which networks, in batches and off the request's path.
import type { OnBackgroundError } from '../background-errors.ts'
import { BoundedMap } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'
import { isUniqueViolation } from '../database/failures.ts'
import type { Database } from '../database/schema.ts'
import { inTransaction } from '../database/transaction.ts'
import { noOrigin, recordEvents } from '../events/events.ts'
import { noteUsesEveryMs } from '../timing.ts'
import { networkAround } from './networks.ts'
import { insertNetwork, listNetworks, updateLastUse } from './service-key-rows.ts'

const minuteMs = 60_000
/** The most pairs of a key and an address for which the last note is kept. */
const maxNoted = 10_000
/** A key that is used from more networks than this is no key of a few servers: no more are written. */
const networksMax = 1_000

export interface KeyUsesOptions {
  readonly db: Database
  readonly clock: Clock
  /** Called with the error that prevented a use from being written. */
  readonly onBackgroundError: OnBackgroundError
}

export class KeyUses {
  readonly #db: Database
  readonly #clock: Clock
  readonly #onBackgroundError: OnBackgroundError
  /** By key: the addresses that it was used from since the last batch. */
  #pending = new Map<string, Set<string>>()
  /** By key and address: the time of the last note. */
  readonly #notedAt = new BoundedMap<number>(maxNoted)
  /** By key: the networks that are written. */
  readonly #networks = new Map<string, Set<string>>()
  #timer: NodeJS.Timeout | null = null

  constructor({ db, clock, onBackgroundError }: KeyUsesOptions) {
    this.#db = db
    this.#clock = clock
    this.#onBackgroundError = onBackgroundError
  }

  /** Notes that a key was used at `now`. Never waits. */
  note(id: string, address: string | null, now: number): void {
    const key = `${id} ${address}`
    const notedAt = this.#notedAt.get(key)
    if (notedAt !== undefined && now - notedAt < minuteMs) return
    this.#notedAt.set(key, now)
    const addresses = this.#pending.get(id) ?? new Set()
    if (address !== null && addresses.size < networksMax) addresses.add(address)
    this.#pending.set(id, addresses)
    this.#timer ??= setTimeout(() => void this.flush(), noteUsesEveryMs).unref()
  }

  /** Writes the notes now. Never throws: what could not be written is noted again at the next use. */
  async flush(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    const notes = this.#pending
    this.#pending = new Map()
    for (const [id, addresses] of notes) {
      try {
        await updateLastUse(this.#db, id, this.#clock.now(), minuteMs)
        for (const address of addresses) await this.#noteNetwork(id, address)
      } catch (error) {
        this.#onBackgroundError('note_key_use', error)
        for (const address of addresses) this.#notedAt.delete(`${id} ${address}`)
      }
    }
  }

  /** Writes the first use from a network, with its event. */
  async #noteNetwork(id: string, address: string): Promise<void> {
    const network = networkAround(address)
    const known = this.#networks.get(id) ?? new Set(await listNetworks(this.#db, id))
    this.#networks.set(id, known)
    if (network === null || known.has(network) || known.size >= networksMax) return
    try {
      await inTransaction(this.#db, async (tx) => {
        const now = this.#clock.now()
        await insertNetwork(tx, { keyId: id, network, now })
        const event = { kind: 'key_used_from_network', keyId: id, detail: { network } } as const
        await recordEvents(tx, now, { ...noOrigin, ip: address }, [event])
      })
    } catch (error) {
      // Another server has written it meanwhile, with the event.
      if (!isUniqueViolation(error)) throw error
    }
    known.add(network)
  }
}
