// Sending a code to a number: the same answer whether or not anybody has an account there.
import type { Clock } from '../clock.ts'
import { type Codes, codeLifeMs, type PreparedCode, type Purpose } from '../codes/codes.ts'
import type { AccountsTable, Database } from '../db/schema.ts'
import { AppError } from '../errors.ts'
import { type NewEvent, type Origin, recordEvents } from '../events/events.ts'
import type { CodeRequest, Limiter } from '../limits/limiter.ts'
import { findGoodProof } from '../sessions/device-proofs.ts'
import { type Sent, SmsError } from '../sms/sms.ts'
import type { SmsSender } from '../sms/sms-sender.ts'
import { findAccountByPhoneNumber } from './account-rows.ts'
import type { CodeDestinations } from './code-destinations.ts'
import { parsePhoneNumber, type Region } from './phone.ts'

export interface SendCodeOptions {
  readonly db: Database
  readonly clock: Clock
  readonly codes: Codes
  readonly region: Region
  readonly destinations: CodeDestinations
  readonly signUp: 'open' | 'closed'
  readonly limiter: Limiter
  readonly sms: SmsSender
  /** Told what went wrong after the answer was given. */
  readonly onTrouble: (error: unknown) => void
}

export interface SendRequest {
  readonly purpose: Purpose
  readonly origin: Origin
  readonly deviceId: string | null
  /** As the client sent it; null: it sent none. */
  readonly deviceProof: string | null
}

export interface SentCode {
  readonly resendInSeconds: number
  readonly expiresInSeconds: number
}

function answerTo({ resendInSeconds }: CodeRequest, prepared?: PreparedCode): SentCode {
  return { resendInSeconds, expiresInSeconds: Math.ceil((prepared?.expiresInMs ?? codeLifeMs) / 1000) }
}

/** Always the same: how much others have used is not told. */
const budgetRetrySeconds = 600

export class SendCode {
  readonly #options: SendCodeOptions
  readonly #underWay = new Set<Promise<void>>()

  constructor(options: SendCodeOptions) {
    this.#options = options
  }

  /**
   * Sends the code for a purpose. Whether a number has an account decides in some cases whether anything is sent at all;
   * then the answer does not wait for the gateway, and does not depend on it.
   * @throws AppError `phone_number_invalid`, `phone_number_not_mobile`, `country_not_served`, `rate_limited`, `unavailable`,
   * `code_not_sent`
   */
  async send(phoneNumberText: string, request: SendRequest): Promise<SentCode> {
    const { codes, region, limiter, destinations } = this.#options
    const phoneNumber = parsePhoneNumber(phoneNumberText, region)
    const to = this.#goesToAnyNumber(request.purpose) ? 'anyone' : 'owner'
    // Before anything is counted: such a request costs no message, and the person corrects the number at once.
    if (!codes.isTestNumber(phoneNumber)) destinations.assertServed(phoneNumber, to)
    const { origin, deviceId, deviceProof } = request
    const proof = await findGoodProof(this.#options.db, { phoneNumber, text: deviceProof, deviceId })
    const asked = await limiter.askForCode({
      phoneNumber,
      address: origin.ip,
      deviceId,
      accountId: null,
      proof,
    })
    if (to === 'anyone') return await this.#sendNow(phoneNumber, asked, request)
    this.#inBackground(this.#sendToOwner(phoneNumber, asked, request))
    return answerTo(asked)
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

  /** Where the number has had its messages for now, the answer is the same as if one were sent. */
  async #sendNow(phoneNumber: string, asked: CodeRequest, request: SendRequest): Promise<SentCode> {
    const { codes, db } = this.#options
    const name = { phoneNumber, purpose: request.purpose }
    if (codes.isTestNumber(phoneNumber)) return answerTo(asked, await codes.prepare(name))
    const room = await asked.message('anyone')
    if (room === 'budget_spent') throw new AppError('rate_limited', { retryAfterSeconds: budgetRetrySeconds })
    if (room === 'number_full') return answerTo(asked)
    const prepared = await codes.prepare(name)
    const account = await findAccountByPhoneNumber(db, phoneNumber)
    const failure = await this.#deliver(phoneNumber, account, prepared, request)
    if (failure?.code === 'number_invalid') throw new AppError('phone_number_invalid')
    const { resendInSeconds } = asked
    if (failure)
      throw new AppError('code_not_sent', { retryAfterSeconds: resendInSeconds }, { cause: failure })
    return answerTo(asked, prepared)
  }

  /**
   * Nothing is made for a number without an account: a code that no message carries must not count as one that is out, or wrong
   * guesses at it would fill the counters of the installation for free.
   */
  async #sendToOwner(phoneNumber: string, asked: CodeRequest, request: SendRequest): Promise<void> {
    const { codes, db } = this.#options
    const account = await findAccountByPhoneNumber(db, phoneNumber)
    const isTest = codes.isTestNumber(phoneNumber)
    if (!account || (!isTest && (await asked.message('owner')) !== 'room')) return
    const prepared = await codes.prepare({ phoneNumber, purpose: request.purpose })
    if (!isTest) await this.#deliver(phoneNumber, account, prepared, request)
  }

  /** What kept the message from being sent, or null. Written down either way. */
  async #deliver(
    phoneNumber: string,
    account: AccountsTable | null,
    { code, expiresInMs }: PreparedCode,
    { purpose, origin }: SendRequest,
  ): Promise<SmsError | null> {
    const { db, clock, sms } = this.#options
    const minutes = Math.max(1, Math.round(expiresInMs / 60_000))
    const sent = await sms.send({ to: phoneNumber, template: 'code', code, minutes }).catch((error) => {
      if (error instanceof SmsError) return error
      throw error
    })
    const about = { accountId: account?.id ?? null, phoneNumber }
    const event: NewEvent =
      sent instanceof SmsError
        ? {
            ...about,
            kind: 'code_not_sent',
            detail: { purpose, failure: sent.code, gateway: sent.gatewayCode },
          }
        : {
            ...about,
            kind: 'code_sent',
            detail: { purpose, driver: sent.driver, gateway_id: gatewayIdOf(sent) },
          }
    await recordEvents(db, clock.now(), origin, [event])
    return sent instanceof SmsError ? sent : null
  }
}

function gatewayIdOf(sent: Sent): string | null {
  return 'gatewayId' in sent ? sent.gatewayId : null
}
