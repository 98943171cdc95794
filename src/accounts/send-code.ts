// Sending a code to a number: the same answer whether or not anybody has an account there.
import type { Clock } from '../clock.ts'
import type { Codes, PreparedCode, Purpose } from '../codes/codes.ts'
import type { Database } from '../db/schema.ts'
import { AppError } from '../errors.ts'
import { type Origin, recordEvents } from '../events/events.ts'
import { findAccountByPhoneNumber } from './account-rows.ts'
import { parsePhoneNumber, type Region } from './phone.ts'

/** What a gateway said. */
export interface SendOutcome {
  /** Which driver took it, and its own id of the message. */
  readonly sent: { readonly driver: string; readonly gatewayId: string | null } | null
  /** Why it was not sent, or perhaps not. */
  readonly failure: { readonly code: string; readonly detail: string } | null
}

export interface SendCodeOptions {
  readonly db: Database
  readonly clock: Clock
  readonly codes: Codes
  readonly region: Region
  readonly signUp: 'open' | 'closed'
  /** Counts a send against all limits, and says in how many seconds the next one for this number is allowed. @throws AppError `rate_limited`, `unavailable` */
  readonly spend: (request: SendRequest & { phoneNumber: string }) => Promise<number>
  /** Never throws. */
  readonly deliver: (phoneNumber: string, code: string, minutes: number) => Promise<SendOutcome>
  /** Told what went wrong after the answer was given. */
  readonly onTrouble: (error: unknown) => void
}

export interface SendRequest {
  readonly purpose: Purpose
  readonly origin: Origin
  readonly deviceId: string | null
}

export interface SentCode {
  readonly resendInSeconds: number
  readonly expiresInSeconds: number
}

export class SendCode {
  readonly #options: SendCodeOptions
  readonly #underWay = new Set<Promise<void>>()

  constructor(options: SendCodeOptions) {
    this.#options = options
  }

  /**
   * Sends the code for a purpose. Whether a number has an account decides in some cases whether anything is sent at all;
   * then the answer does not wait for the gateway, and does not depend on it.
   * @throws AppError `phone_number_invalid`, `rate_limited`, `unavailable`, `code_not_sent`
   */
  async send(phoneNumberText: string, request: SendRequest): Promise<SentCode> {
    const { codes, region, spend } = this.#options
    const phoneNumber = parsePhoneNumber(phoneNumberText, region)
    const resendInSeconds = await spend({ ...request, phoneNumber })
    const prepared = await codes.prepare({ phoneNumber, purpose: request.purpose })
    const answer = { resendInSeconds, expiresInSeconds: Math.ceil(prepared.expiresInMs / 1000) }
    if (prepared.isTest) return answer
    if (this.#goesToAnyNumber(request.purpose)) {
      const { failure } = await this.#deliver(phoneNumber, prepared, request)
      if (failure?.code === 'number_invalid') throw new AppError('phone_number_invalid')
      if (failure) throw new AppError('code_not_sent', { retryAfterSeconds: resendInSeconds })
      return answer
    }
    this.#inBackground(this.#deliverToOwner(phoneNumber, prepared, request))
    return answer
  }

  /** Waits for what is being sent. */
  async close(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  #goesToAnyNumber(purpose: Purpose): boolean {
    return purpose === 'change_phone' || (purpose === 'sign_in' && this.#options.signUp === 'open')
  }

  #inBackground(work: Promise<void>): void {
    const safe = work.catch(this.#options.onTrouble).finally(() => this.#underWay.delete(safe))
    this.#underWay.add(safe)
  }

  async #deliverToOwner(phoneNumber: string, prepared: PreparedCode, request: SendRequest): Promise<void> {
    const account = await findAccountByPhoneNumber(this.#options.db, phoneNumber)
    if (account) await this.#deliver(phoneNumber, prepared, request)
  }

  async #deliver(
    phoneNumber: string,
    { code, expiresInMs }: PreparedCode,
    request: SendRequest,
  ): Promise<SendOutcome> {
    const { db, clock, deliver } = this.#options
    const { purpose, origin } = request
    const minutes = Math.max(1, Math.round(expiresInMs / 60_000))
    const outcome = await deliver(phoneNumber, code, minutes)
    const detail = outcome.failure
      ? { purpose, failure: outcome.failure.code, gateway: outcome.failure.detail }
      : { purpose, driver: outcome.sent?.driver ?? null, gateway_id: outcome.sent?.gatewayId ?? null }
    const account = await findAccountByPhoneNumber(db, phoneNumber)
    const kind = outcome.failure ? 'code_not_sent' : 'code_sent'
    await recordEvents(db, clock.now(), origin, [
      { kind, accountId: account?.id ?? null, phoneNumber, detail },
    ])
    return outcome
  }
}
