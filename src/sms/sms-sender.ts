// Sends a text message: through the first driver, the second one where that is safe, and none that has just failed.
import { randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { type Sent, type SmsDriver, SmsError, type SmsErrorCode, type SmsMessage } from './sms.ts'

// About our account with the gateway, the gateway itself or its routes: another one may do better. The others are about the
// number. A rate limit is too, as a rule, and our own limits are tighter than any gateway's: a caller who meets one floods a phone or
// has spent the operator's budget, and a second gateway would count from zero.
const anotherMayDoBetter: ReadonlySet<SmsErrorCode> = new Set([
  'destination_refused',
  'misconfigured',
  'out_of_funds',
  'unavailable',
])

/** How long a driver is not asked after a failure that affects every number. */
export const breakMs = 30_000
const rememberedTimes = 50
/** So many failures in a row that leave in doubt whether a message was sent count as a gateway that is away. */
const doubtsInARow = 3

/**
 * Who gets a message: any number, or only the owners of accounts. Each has breaks of its own: a break that a message to an owner
 * caused must not show in the answers about other numbers, because it would tell that the owner has an account.
 */
export type Audience = 'anyone' | 'owner'

/** Whether a driver is asked at present. */
interface Break {
  until: number
  doubts: number
  refusal: SmsError | null
}

export interface SmsSenderOptions {
  readonly drivers: readonly [SmsDriver, ...SmsDriver[]]
  /** One that nobody sets. */
  readonly clock: Clock
  /** Told what a driver refused with before the next one is asked. */
  readonly onFailOver?: (refusal: SmsError) => void
}

export class SmsSender {
  readonly #drivers: readonly SmsDriver[]
  readonly #clock: Clock
  readonly #onFailOver: (refusal: SmsError) => void
  readonly #breaks = new Map<string, Break>()
  /** How long the last messages took, in milliseconds. */
  readonly #took: number[] = []

  constructor({ drivers, clock, onFailOver = () => {} }: SmsSenderOptions) {
    this.#drivers = drivers
    this.#clock = clock
    this.#onFailOver = onFailOver
  }

  /**
   * Sends a message once, or not at all. Where no driver has a template for it, it is skipped.
   * @throws SmsError of the last driver that was asked, or that has a break
   */
  async send(message: SmsMessage, audience: Audience = 'anyone'): Promise<Sent> {
    const id = randomUUID()
    let refusal: SmsError | null = null
    let skipped: Sent | null = null
    for (const driver of this.#drivers) {
      if (refusal) this.#onFailOver(refusal)
      const inBreak = this.#refusalInBreak(driver, audience)
      if (inBreak) {
        refusal = inBreak
        continue
      }
      const began = performance.now()
      try {
        const result = await driver.send(message, id).finally(() => this.#noteTime(performance.now() - began))
        if (result.outcome === 'sent') {
          this.#noteSent(driver, audience)
          return { ...result, id, driver: driver.name }
        }
        skipped ??= { ...result, id, driver: driver.name }
      } catch (error) {
        if (!(error instanceof SmsError)) throw error
        this.#noteFailure(driver, audience, error)
        if (!error.surelyNotSent || !anotherMayDoBetter.has(error.code)) throw error
        refusal = error
      }
    }
    // A driver that refused could have sent it: that says more than one that was never set up for it.
    if (refusal || !skipped) throw refusal ?? new TypeError('an SmsSender has a driver')
    return skipped
  }

  /** Waits as long as one of the last messages took, for an answer that must not tell whether one was sent. */
  async waitAsForMessage(): Promise<void> {
    const ms = this.#took[Math.floor(Math.random() * this.#took.length)] ?? 0
    await new Promise((resolve) => setTimeout(resolve, ms))
  }

  #noteTime(ms: number): void {
    this.#took.push(ms)
    if (this.#took.length > rememberedTimes) this.#took.shift()
  }

  /** How long no driver is asked; 0: one is. */
  breakSeconds(audience: Audience): number {
    const rests = this.#drivers.map((driver) => this.#breakOf(driver, audience).until - this.#clock.now())
    return Math.ceil(Math.max(0, Math.min(...rests)) / 1000)
  }

  #refusalInBreak(driver: SmsDriver, audience: Audience): SmsError | null {
    const { until, refusal } = this.#breakOf(driver, audience)
    const restMs = until - this.#clock.now()
    if (restMs <= 0 || !refusal) return null
    const facts = {
      surelyNotSent: true,
      affectsEveryNumber: true,
      gatewayCode: refusal.gatewayCode,
      retryAfterSeconds: Math.ceil(restMs / 1000),
    }
    return new SmsError(driver.name, refusal.code, facts, { cause: refusal })
  }

  #noteSent(driver: SmsDriver, audience: Audience): void {
    for (const one of this.#affectedBy(driver, audience)) Object.assign(one, { until: 0, doubts: 0 })
  }

  #noteFailure(driver: SmsDriver, audience: Audience, refusal: SmsError): void {
    const isDoubt = refusal.code === 'unavailable' && !refusal.surelyNotSent
    for (const one of this.#affectedBy(driver, audience)) {
      if (isDoubt) one.doubts++
      // Where there is no other driver, a message that may arrive is better than none.
      const isAway = isDoubt && one.doubts >= doubtsInARow && this.#drivers.length > 1
      if (!refusal.affectsEveryNumber && !isAway) continue
      one.until = this.#clock.now() + breakMs
      one.refusal = refusal
    }
  }

  /** What a message to anyone shows is known to all; what one to an owner shows, to messages to owners. */
  #affectedBy(driver: SmsDriver, audience: Audience): readonly Break[] {
    const ofOwners = this.#breakOf(driver, 'owner')
    return audience === 'owner' ? [ofOwners] : [ofOwners, this.#breakOf(driver, 'anyone')]
  }

  #breakOf(driver: SmsDriver, audience: Audience): Break {
    const name = `${driver.name} ${audience}`
    const known = this.#breaks.get(name)
    if (known) return known
    const fresh = { until: 0, doubts: 0, refusal: null }
    this.#breaks.set(name, fresh)
    return fresh
  }
}
