// Sends a text message: through the first driver, the second one where that is safe, and none that has just failed.
import { randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { VendorError } from '../vendors/vendor-error.ts'
import { isSmsError, type Sent, type SmsError, type SmsGateway, type SmsMessage } from './sms.ts'

/**
 * Our account with the gateway, its routes, or the gateway itself: another one may do better. The other codes are about the number. A
 * rate limit is too, as a rule, and our own limits are tighter than any gateway's: a caller who meets one floods a phone or has spent
 * the operator's budget, and a second gateway would count from zero.
 */
function anotherMayDoBetter({ isOurFault, code }: SmsError): boolean {
  return isOurFault || code === 'destination_refused' || code === 'unavailable'
}

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
  readonly gateways: readonly [SmsGateway, ...SmsGateway[]]
  /** One that nobody sets. */
  readonly clock: Clock
  /** Told what a driver refused with before the next one is asked. */
  readonly onFailOver?: (refusal: SmsError) => void
}

export class SmsSender {
  readonly #gateways: readonly SmsGateway[]
  readonly #clock: Clock
  readonly #onFailOver: (refusal: SmsError) => void
  readonly #breaks = new Map<string, Break>()
  /** How long the last messages took, in milliseconds. */
  readonly #took: number[] = []

  constructor({ gateways, clock, onFailOver = () => {} }: SmsSenderOptions) {
    this.#gateways = gateways
    this.#clock = clock
    this.#onFailOver = onFailOver
  }

  /**
   * Sends a message once, or not at all. Where no driver has a template for it, it is skipped.
   * @throws VendorError of the last driver that was asked, or that has a break
   */
  async send(message: SmsMessage, audience: Audience = 'anyone'): Promise<Sent> {
    const id = randomUUID()
    let refusal: SmsError | null = null
    let skipped: Sent | null = null
    for (const gateway of this.#gateways) {
      if (refusal) this.#onFailOver(refusal)
      const inBreak = this.#refusalInBreak(gateway, audience)
      if (inBreak) {
        refusal = inBreak
        continue
      }
      const answer = await this.#sendBy(gateway, message, { id, audience })
      if ('refusal' in answer) refusal = answer.refusal
      else if (answer.outcome === 'sent') return answer
      else skipped ??= answer
    }
    // A driver that refused could have sent it: that says more than one that was never set up for it.
    if (refusal || !skipped) throw refusal ?? new TypeError('an SmsSender has a gateway')
    return skipped
  }

  /**
   * What a driver did with a message, or its refusal where another driver may do better.
   * @throws VendorError where none may
   */
  async #sendBy(
    gateway: SmsGateway,
    message: SmsMessage,
    { id, audience }: { readonly id: string; readonly audience: Audience },
  ): Promise<Sent | { readonly refusal: SmsError }> {
    const began = performance.now()
    try {
      const result = await gateway.send(message, id).finally(() => this.#noteTime(performance.now() - began))
      if (result.outcome === 'sent') this.#noteSent(gateway, audience)
      return { ...result, id, driver: gateway.name }
    } catch (error) {
      if (!isSmsError(error)) throw error
      this.#noteFailure(gateway, audience, error)
      if (!error.surelyNotSent || !anotherMayDoBetter(error)) throw error
      return { refusal: error }
    }
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
    const rests = this.#gateways.map((gateway) => this.#breakOf(gateway, audience).until - this.#clock.now())
    return Math.ceil(Math.max(0, Math.min(...rests)) / 1000)
  }

  #refusalInBreak(gateway: SmsGateway, audience: Audience): SmsError | null {
    const { until, refusal } = this.#breakOf(gateway, audience)
    const restMs = until - this.#clock.now()
    if (restMs <= 0 || !refusal) return null
    const facts = {
      surelyNotSent: true,
      affectsEveryRecipient: true,
      vendorCode: refusal.vendorCode,
      retryAfterSeconds: Math.ceil(restMs / 1000),
    }
    return new VendorError(gateway.name, refusal.code, facts, { cause: refusal })
  }

  #noteSent(gateway: SmsGateway, audience: Audience): void {
    for (const one of this.#affectedBy(gateway, audience)) Object.assign(one, { until: 0, doubts: 0 })
  }

  #noteFailure(gateway: SmsGateway, audience: Audience, refusal: SmsError): void {
    const isDoubt = refusal.code === 'unavailable' && !refusal.surelyNotSent
    for (const one of this.#affectedBy(gateway, audience)) {
      if (isDoubt) one.doubts++
      // Where there is no other driver, a message that may arrive is better than none.
      const isAway = isDoubt && one.doubts >= doubtsInARow && this.#gateways.length > 1
      if (!refusal.affectsEveryRecipient && !isAway) continue
      one.until = this.#clock.now() + breakMs
      one.refusal = refusal
    }
  }

  /** What a message to anyone shows is known to all; what one to an owner shows, to messages to owners. */
  #affectedBy(gateway: SmsGateway, audience: Audience): readonly Break[] {
    const ofOwners = this.#breakOf(gateway, 'owner')
    return audience === 'owner' ? [ofOwners] : [ofOwners, this.#breakOf(gateway, 'anyone')]
  }

  #breakOf(gateway: SmsGateway, audience: Audience): Break {
    const name = `${gateway.name} ${audience}`
    const known = this.#breaks.get(name)
    if (known) return known
    const fresh = { until: 0, doubts: 0, refusal: null }
    this.#breaks.set(name, fresh)
    return fresh
  }
}
