// Says whether a presented service key may be used, and notes its use.
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

export interface KeyVerificationOptions {
  readonly cache: KeyCache
  readonly uses: KeyUses
  readonly clock: Clock
}

export class KeyVerification {
  readonly #cache: KeyCache
  readonly #uses: KeyUses
  readonly #clock: Clock

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
    const presented = parseKeyText(text)
    if (presented === null) throw new AppError('key_unknown')
    return mapMaybe(this.#cache.find(presented.id), (key) => this.#judge(key, presented, address))
  }

  #judge(key: StoredKey | null, presented: PresentedKey, address: string | null): ServiceKey {
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
