// Sends a text message through the first driver, or through the second one if that is safe. A driver that has
// just failed is not called.
import { randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { VendorError } from '../vendors/vendor-error.ts'
import { isSmsError, type Sent, type SmsError, type SmsGateway, type SmsMessage } from './sms.ts'

/**
 * Another gateway may accept the message where the cause is the account with this one, its routes, or the
 * gateway itself. The other codes concern the number. So does a rate limit, as a rule: this server's limits
 * are tighter than any gateway's, so a caller that reaches the gateway's floods a phone or has used up the
 * operator's budget, and a second gateway would count from zero.
 */
function anotherMayDoBetter({ isOurFault, code }: SmsError): boolean {
  return isOurFault || code === 'destination_refused' || code === 'unavailable'
}

/** How long a driver is not called after a failure that affects every number. */
export const breakMs = 30_000
const rememberedTimes = 50
/**
 * After this many consecutive failures that do not say whether the message was sent, the gateway counts as
 * unavailable.
 */
const doubtsInARow = 3

/**
 * The audience of a message: any number, or only owners of accounts. Each audience has its own breaks: a
 * break that a message to an owner caused must not affect the responses about other numbers, because it would
 * reveal that the owner has an account.
 */
export type Audience = 'anyone' | 'owner'

/** The kind of a message: a broken template of one kind must not stop the others. */
type Kind = SmsMessage['template']

/** The audience of a message, and its kind. */
interface Mail {
  readonly audience: Audience
  readonly kind: Kind
}

/** A pause in which a driver is not called. */
interface Break {
  until: number
  doubts: number
  refusal: SmsError | null
}

export interface SmsSenderOptions {
  readonly gateways: readonly [SmsGateway, ...SmsGateway[]]
  /** A steady clock. */
  readonly clock: Clock
  /** Called with a driver's refusal before the next driver is called. */
  readonly onFailOver?: (refusal: SmsError) => void
}

export class SmsSender {
  readonly #gateways: readonly SmsGateway[]
  readonly #clock: Clock
  readonly #onFailOver: (refusal: SmsError) => void
  readonly #breaks = new Map<string, Break>()
  /** The durations of the last messages, in milliseconds. */
  readonly #took: number[] = []

  constructor({ gateways, clock, onFailOver = () => {} }: SmsSenderOptions) {
    this.#gateways = gateways
    this.#clock = clock
    this.#onFailOver = onFailOver
  }

  /**
   * Sends a message once, or not at all. Where no driver has a template for it, it is skipped.
   * @throws VendorError of the last driver that was called or that has a break
   */
  async send(message: SmsMessage, audience: Audience = 'anyone'): Promise<Sent> {
    const id = randomUUID()
    const mail = { audience, kind: message.template }
    let refusal: SmsError | null = null
    let skipped: Sent | null = null
    for (const gateway of this.#gateways) {
      if (refusal) this.#onFailOver(refusal)
      const inBreak = this.#refusalInBreak(gateway, mail)
      if (inBreak) {
        refusal = inBreak
        continue
      }
      const answer = await this.#sendBy(gateway, message, { id, mail })
      if ('refusal' in answer) refusal = answer.refusal
      else if (answer.outcome === 'sent') return answer
      else skipped ??= answer
    }
    // The refusal of a driver with a template says more than that another driver has none.
    if (refusal || !skipped) throw refusal ?? new TypeError('an SmsSender has a gateway')
    return skipped
  }

  /**
   * The result of a driver, or its refusal where another driver may accept the message.
   * @throws VendorError where none may
   */
  async #sendBy(
    gateway: SmsGateway,
    message: SmsMessage,
    { id, mail }: { readonly id: string; readonly mail: Mail },
  ): Promise<Sent | { readonly refusal: SmsError }> {
    const began = performance.now()
    try {
      const result = await gateway.send(message, id).finally(() => this.#noteTime(performance.now() - began))
      if (result.outcome === 'sent') this.#noteSent(gateway, mail)
      return { ...result, id, driver: gateway.name }
    } catch (error) {
      if (!isSmsError(error)) throw error
      this.#noteFailure(gateway, mail, error)
      if (!error.surelyNotSent || !anotherMayDoBetter(error)) throw error
      return { refusal: error }
    }
  }

  /**
   * Waits as long as one of the last messages took, for a response that must not reveal whether a message was
   * sent.
   */
  async waitAsForMessage(): Promise<void> {
    const ms = this.#took[Math.floor(Math.random() * this.#took.length)] ?? 0
    await new Promise((resolve) => setTimeout(resolve, ms))
  }

  #noteTime(ms: number): void {
    this.#took.push(ms)
    if (this.#took.length > rememberedTimes) this.#took.shift()
  }

  /** For how many seconds no driver is called for codes; 0 where one is available. */
  breakSeconds(audience: Audience): number {
    const codes = { audience, kind: 'code' } as const
    const rests = this.#gateways.map((gateway) => this.#breakFor(gateway, codes).until - this.#clock.now())
    return Math.ceil(Math.max(0, Math.min(...rests)) / 1000)
  }

  #refusalInBreak(gateway: SmsGateway, mail: Mail): SmsError | null {
    const { until, refusal } = this.#breakFor(gateway, mail)
    const restMs = until - this.#clock.now()
    if (restMs <= 0 || !refusal) return null
    const facts = {
      surelyNotSent: true,
      affectsEveryRecipient: true,
      isAboutTemplate: refusal.isAboutTemplate,
      vendorCode: refusal.vendorCode,
      retryAfterSeconds: Math.ceil(restMs / 1000),
    }
    return new VendorError(gateway.name, refusal.code, facts, { cause: refusal })
  }

  #noteSent(gateway: SmsGateway, { audience, kind }: Mail): void {
    const breaks = (['every', kind] as const).flatMap((scope) => this.#affectedBy(gateway, audience, scope))
    for (const one of breaks) Object.assign(one, { until: 0, doubts: 0 })
  }

  #noteFailure(gateway: SmsGateway, { audience, kind }: Mail, refusal: SmsError): void {
    const isDoubt = refusal.code === 'unavailable' && !refusal.surelyNotSent
    for (const one of this.#affectedBy(gateway, audience, refusal.isAboutTemplate ? kind : 'every')) {
      if (isDoubt) one.doubts++
      // Without another driver, a message that may arrive is better than none.
      const isAway = isDoubt && one.doubts >= doubtsInARow && this.#gateways.length > 1
      if (!refusal.affectsEveryRecipient && !isAway) continue
      one.until = this.#clock.now() + breakMs
      one.refusal = refusal
    }
  }

  /**
   * The result of a message to anyone affects both audiences; that of a message to an owner affects owners
   * only.
   */
  #affectedBy(gateway: SmsGateway, audience: Audience, scope: Kind | 'every'): readonly Break[] {
    const ofOwners = this.#breakOf(gateway, 'owner', scope)
    return audience === 'owner' ? [ofOwners] : [ofOwners, this.#breakOf(gateway, 'anyone', scope)]
  }

  /** The break of a kind of message: its own, or that of every kind where it lasts longer. */
  #breakFor(gateway: SmsGateway, { audience, kind }: Mail): Break {
    const ofEvery = this.#breakOf(gateway, audience, 'every')
    const ofKind = this.#breakOf(gateway, audience, kind)
    return ofKind.until > ofEvery.until ? ofKind : ofEvery
  }

  #breakOf(gateway: SmsGateway, audience: Audience, scope: Kind | 'every'): Break {
    const name = `${gateway.name} ${audience} ${scope}`
    const known = this.#breaks.get(name)
    if (known) return known
    const fresh = { until: 0, doubts: 0, refusal: null }
    this.#breaks.set(name, fresh)
    return fresh
  }
}
