// Sends a code to a number. The answer is the same whether or not the number has an account.

import { findAccountByPhoneNumber } from '../accounts/account-rows.ts'
import type { OnBackgroundError } from '../background-errors.ts'
import { type CodeName, type Codes, codeLifeMs } from '../codes/codes.ts'
import type { Purpose } from '../codes/purpose.ts'
import type { Database } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import type { RequestOrigin } from '../events/events.ts'
import type { CodeRequest, Limiter } from '../limits/limiter.ts'
import { callerBlock } from '../limits/subjects.ts'
import { parsePhoneNumber, type Region } from '../phone/phone.ts'
import { atLeastInClass } from '../queue-order.ts'
import type { StoredAccount } from '../sessions/account.ts'
import type { AccountWriter } from '../sessions/account-writer.ts'
import type { ProofLookups } from '../sessions/proof-lookups.ts'
import { isSmsError, type Sent, type SmsError } from '../sms/sms.ts'
import type { Audience, SmsSender } from '../sms/sms-sender.ts'
import type { CodeDestinations } from './code-destinations.ts'
import { LaterJobs, type Place } from './later-jobs.ts'

export interface CodeSenderOptions {
  readonly db: Database
  readonly proofs: ProofLookups
  readonly writer: AccountWriter
  readonly codes: Codes
  readonly region: Region
  readonly destinations: CodeDestinations
  readonly signUp: 'open' | 'closed'
  readonly limiter: Limiter
  readonly sms: SmsSender
  /** Called with an error that happens after the answer was sent. */
  readonly onBackgroundError: OnBackgroundError
}

export interface SendRequest {
  readonly purpose: Purpose
  readonly origin: RequestOrigin
  readonly deviceId: string | null
  /** As the client sent it; null: the client sent none. */
  readonly deviceProof: string | null
}

export interface SentCode {
  readonly resendInSeconds: number
  readonly expiresInSeconds: number
}

/** A message that a request asks for. */
interface Message {
  readonly name: CodeName
  /** null: the number has no account. */
  readonly account: StoredAccount | null
  readonly asked: CodeRequest
  readonly request: SendRequest
}

/** A constant, because the answer must not reveal how much of the budget others have used. */
const budgetRetrySeconds = 600

/** Why no message is sent, other than a gateway's error. The event names it. */
type Withheld = 'no_account' | 'limit_full' | 'budget_spent'

/**
 * The waiting messages to owners. The limits let an address request a few codes in ten minutes, unless the
 * operator allows more; even then one address cannot fill the queue of all.
 */
export const places = { max: 1_000, maxOfOne: 100 }

export class CodeSender {
  readonly #options: CodeSenderOptions
  readonly #toOwners: LaterJobs

  constructor(options: CodeSenderOptions) {
    this.#options = options
    const onError = (error: unknown) => options.onBackgroundError('send_code_to_owner', error)
    this.#toOwners = new LaterJobs({ ...places, parallel: 20, withinMs: 1_000, onError })
  }

  /**
   * Sends the code for a purpose. For some purposes, a message is sent only if the number has an account;
   * then the answer does not wait for the gateway and does not depend on it.
   * @throws AppError `phone_number_invalid`, `phone_number_not_mobile`, `country_not_served`, `rate_limited`,
   * `overloaded`, `unavailable`, `code_not_sent`
   */
  async send(phoneNumberText: string, request: SendRequest): Promise<SentCode> {
    const { codes, region, limiter, db, proofs } = this.#options
    const phoneNumber = parsePhoneNumber(phoneNumberText, region)
    const to = this.#goesToAnyNumber(request.purpose) ? 'anyone' : 'owner'
    const isTest = codes.isTestNumber(phoneNumber)
    const { origin, deviceId, deviceProof } = request
    const place = isTest ? null : this.#assertSendable(phoneNumber, to, callerBlock(origin.ip))
    try {
      const proof = await proofs.find({ phoneNumber, text: deviceProof, deviceId, address: origin.ip })
      const subject = { phoneNumber, address: origin.ip, deviceId, accountId: null, proof }
      const asked = await limiter.requestCode(subject)
      await atLeastInClass('counted', async () => {
        const account = await findAccountByPhoneNumber(db, phoneNumber)
        const message = { name: { phoneNumber, purpose: request.purpose }, account, asked, request }
        if (isTest) await codes.prepare(message.name)
        else if (place) place.add(() => this.#sendToOwner(message))
        else await this.#sendNow(message)
      })
      return { resendInSeconds: asked.resendInSeconds, expiresInSeconds: codeLifeMs / 1000 }
    } finally {
      place?.release()
    }
  }

  /** Sends the waiting messages now, and waits until they are sent. */
  async close(): Promise<void> {
    await this.#toOwners.flush()
  }

  #goesToAnyNumber(purpose: Purpose): boolean {
    return purpose === 'change_phone' || (purpose === 'sign_in' && this.#options.signUp === 'open')
  }

  /**
   * Runs the checks that need no counter, before anything is counted. Returns a place for a message to an
   * owner; null: the message goes to any number.
   */
  #assertSendable(phoneNumber: string, to: Audience, from: string): Place | null {
    const { destinations, sms } = this.#options
    destinations.assertServed(phoneNumber, to)
    // The answer must not depend on failures of messages to owners.
    if (to === 'owner') return this.#toOwners.reserve(from)
    const retryAfterSeconds = sms.breakSeconds(to)
    if (retryAfterSeconds > 0) throw new AppError('code_not_sent', { retryAfterSeconds })
    return null
  }

  /**
   * Where the number has reached its limit of messages, the answer is the same as if one was sent, and takes
   * as long. A failure shows only where a number without an account would get a message as well: otherwise it
   * would show that this one has an account.
   */
  async #sendNow(message: Message): Promise<void> {
    const { asked } = message
    const recipient = message.account ? 'owner' : 'without_account'
    const decision = await asked.consumeMessage(recipient)
    if (decision === 'budget_spent')
      throw new AppError('rate_limited', { retryAfterSeconds: budgetRetrySeconds })
    if (decision === 'limit_full') return await this.#withhold(message, decision)
    const failure = await this.#deliver(message, 'anyone')
    if (!failure) return
    if (failure.surelyNotSent) await asked.refundMessage()
    if (!(await asked.wouldSendWithoutAccount(recipient))) return
    // A refusal because of the number stays counted: one address could otherwise make this server call the
    // gateway without limit.
    if (failure.surelyNotSent && failure.affectsEveryRecipient) await asked.refundRequest()
    if (failure.code === 'number_invalid') throw new AppError('phone_number_invalid')
    throw new AppError(
      'code_not_sent',
      { retryAfterSeconds: this.#retryAfter(failure, asked) },
      { cause: failure },
    )
  }

  #retryAfter(failure: SmsError, { resendInSeconds }: CodeRequest): number {
    const isOurs = failure.surelyNotSent && failure.affectsEveryRecipient
    return isOurs ? Math.max(1, this.#options.sms.breakSeconds('anyone')) : resendInSeconds
  }

  /**
   * Does the same work for a number with an account and for one without. It never refunds the caller's own
   * counters, because a refund would reveal which of the two it is.
   */
  async #sendToOwner(message: Message): Promise<void> {
    const { account, asked } = message
    const decision = await asked.consumeMessage(account ? 'owner' : 'none')
    if (!account) return await this.#withhold(message, 'no_account')
    if (decision !== 'allowed') return await this.#withhold(message, decision)
    const failure = await this.#deliver(message, 'owner')
    if (failure?.surelyNotSent) await asked.refundMessage()
  }

  /** Sends nothing, but does the same work as sending and takes as long. */
  async #withhold(message: Message, failure: Withheld): Promise<void> {
    const { codes, sms } = this.#options
    await codes.prepareDecoy(message.name)
    await sms.waitAsForMessage()
    await this.#note(message, { kind: 'code_not_sent', failure, gateway: null })
  }

  /** The error that prevented the message, or null. It writes an event in both cases. */
  async #deliver(message: Message, audience: Audience): Promise<SmsError | null> {
    const { codes, sms } = this.#options
    const { code } = await codes.prepare(message.name)
    const minutes = codeLifeMs / 60_000
    const text = { to: message.name.phoneNumber, template: 'code', code, minutes } as const
    const sent = await sms.send(text, audience).catch((error) => {
      if (isSmsError(error)) return error
      throw error
    })
    if (isSmsError(sent)) {
      await this.#note(message, { kind: 'code_not_sent', failure: sent.code, gateway: sent.vendorCode })
      return sent
    }
    await this.#note(message, { kind: 'code_sent', driver: sent.driver, gateway_id: gatewayIdOf(sent) })
    return null
  }

  async #note(
    { name: { phoneNumber, purpose }, account, request }: Message,
    { kind, ...detail }: { kind: 'code_sent' | 'code_not_sent' } & Readonly<Record<string, string | null>>,
  ): Promise<void> {
    const event = { kind, accountId: account?.id ?? null, phoneNumber, detail: { purpose, ...detail } }
    await this.#options.writer.record(request.origin, event)
  }
}

function gatewayIdOf(sent: Sent): string | null {
  return 'gatewayId' in sent ? sent.gatewayId : null
}
