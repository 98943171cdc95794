// Says whether a presented service key may be used, and notes its use.
import { BoundedMap } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'
import { AppError, type ErrorCode } from '../errors.ts'
import { type MaybePromise, mapMaybe } from '../maybe-promise.ts'
import type { KeyCache } from './key-cache.ts'
import { type PresentedKey, parseKeyText } from './key-text.ts'
import type { KeyUses } from './key-uses.ts'
import { judgeKey, type KeyVerdict, type ServiceKey, type StoredKey } from './service-key.ts'

const refusals: Readonly<Record<Exclude<KeyVerdict, 'live'>, ErrorCode>> = {
  unknown: 'key_unknown',
  revoked: 'key_revoked',
  expired: 'key_expired',
  other_network: 'key_network_refused',
}

/** Uses of one caller are noted at most so often; key-uses.ts writes them once a minute. */
const noteEveryMs = 10_000
/** The most keys that are remembered by their texts. */
const maxRemembered = 1_000

/** A key that was verified by its text, and the last caller with it. */
interface Remembered {
  readonly key: StoredKey
  address: string | null
  /** When a use of this caller was noted. */
  notedAt: number
  /** The next end of the key, or of the secret before its last rotation. */
  readonly until: number
}

export interface KeyVerificationOptions {
  readonly cache: KeyCache
  readonly uses: KeyUses
  readonly clock: Clock
}

export class KeyVerification {
  readonly #cache: KeyCache
  readonly #uses: KeyUses
  readonly #clock: Clock
  /**
   * By text, in the memory of this process and nowhere else, as long as the cache holds the key: checksum,
   * hash and two comparisons for each request would cost more than the lookup of a token.
   */
  readonly #remembered = new BoundedMap<Remembered>(maxRemembered)

  constructor({ cache, uses, clock }: KeyVerificationOptions) {
    this.#cache = cache
    this.#uses = uses
    this.#clock = clock
  }

  /**
   * The key of a text that a caller presents. Returns without a promise where the keys are in memory.
   * @param address the caller's; null: unknown
   * @throws AppError (or rejects with) `key_unknown`, `key_revoked`, `key_expired`, `key_network_refused`
   */
  verify(text: string, address: string | null): MaybePromise<ServiceKey> {
    const remembered = this.verifyFromMemory(text, address)
    if (remembered) return remembered
    const presented = parseKeyText(text)
    if (presented === null) throw new AppError('key_unknown')
    return mapMaybe(this.#cache.find(presented.id), (key) => {
      const verified = this.#judge(key, presented, address)
      const now = this.#clock.now()
      this.#remembered.set(text, { key: verified, address, notedAt: now, until: nextEndOf(verified, now) })
      return verified
    })
  }

  /** Verifies a key from memory. null is no refusal: `verify` has to decide. */
  verifyFromMemory(text: string, address: string | null): ServiceKey | null {
    const remembered = this.#remembered.get(text)
    if (remembered === undefined) return null
    const { key, until } = remembered
    const now = this.#clock.now()
    // A key that a slow reading found may have changed since: then the cache holds another object.
    if (!this.#cache.holds(key) || now >= until) return null
    const isSameCaller = address === remembered.address
    if (!isSameCaller && key.networks.length > 0) return null
    if (!isSameCaller || now - remembered.notedAt >= noteEveryMs) {
      this.#uses.note(key.id, address, now)
      remembered.address = address
      remembered.notedAt = now
    }
    return key
  }

  #judge(key: StoredKey | null, presented: PresentedKey, address: string | null): StoredKey {
    if (key === null) throw new AppError('key_unknown')
    const now = this.#clock.now()
    const verdict = judgeKey(key, presented, { address, now })
    if (verdict !== 'live') throw new AppError(refusals[verdict])
    this.#uses.note(key.id, address, now)
    return key
  }

  /** Writes the uses that are not written yet. */
  async flush(): Promise<void> {
    await this.#uses.flush()
  }
}

function nextEndOf({ expiresAt, previousUntil }: StoredKey, now: number): number {
  const ends = [expiresAt, previousUntil].flatMap((end) => (end === null || end <= now ? [] : [end]))
  return Math.min(Number.POSITIVE_INFINITY, ...ends)
}
