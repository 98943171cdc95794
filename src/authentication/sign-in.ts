// Sign-in, from top to bottom: limit, verify, decide, write.
import { findAccountByPhoneNumber } from '../accounts/account-rows.ts'
import { isUniqueViolation } from '../database/failures.ts'
import type { Database } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import type { Limiter } from '../limits/limiter.ts'
import type { ProofLookups } from '../sessions/proof-lookups.ts'
import type { IssuedSession, Sessions } from '../sessions/sessions.ts'
import type { SignInContext, SignInMethod, Verified } from './methods/method.ts'
import type { MethodName, SignInCredentials, SignInMethods } from './methods/methods.ts'

export interface SignInServiceOptions {
  readonly db: Database
  readonly proofs: ProofLookups
  readonly sessions: Sessions
  readonly limiter: Limiter
  readonly methods: SignInMethods
}

interface Issuing {
  readonly context: SignInContext
  readonly proof: string | null
  /** Gives the turn to the next attempt: the rest may wait a second for Redis. */
  readonly onCommitted: () => void
}

/** The verified facts may change before the sign-in is admitted. It is verified at most this many times. */
const triesMax = 3

export class SignInService {
  readonly #options: SignInServiceOptions

  constructor(options: SignInServiceOptions) {
    this.#options = options
  }

  /**
   * Signs a person in. With an idempotency key whose session has an unused token, the answer is that
   * session with the same token.
   * @throws AppError `phone_number_invalid`, `credentials_wrong`, `code_wrong`, `sign_up_closed`,
   * `account_banned`, `session_limit_reached`, `rate_limited`, `overloaded`, `unavailable`
   */
  async by<Name extends MethodName>(
    name: Name,
    context: SignInContext,
    credential: SignInCredentials[Name],
  ): Promise<IssuedSession> {
    const { db, proofs, limiter, methods } = this.#options
    const method: SignInMethod<SignInCredentials[Name]> = methods[name]
    const phoneNumber = method.numberOf(credential)
    const { deviceId, ip: address } = context.device
    const text = context.deviceProof ?? null
    const proof = await proofs.find({ phoneNumber, text, deviceId, address })
    if (proof === null) method.assertRoom()
    const subject = { phoneNumber, address, deviceId, accountId: null, proof }
    return await limiter.withLimit(method.check, subject, async (guess, leave) => {
      const accountId = (await findAccountByPhoneNumber(db, phoneNumber))?.id ?? null
      for (let triesLeft = triesMax; triesLeft > 0; triesLeft--) {
        const verified = await method.verify({ phoneNumber, accountId, credential, context, guess })
        try {
          const issued = await this.#issue(method.name, verified, { context, proof, onCommitted: leave })
          if (issued) return issued
        } catch (error) {
          // Another process created the account at the same moment: the next try finds it.
          if (!isUniqueViolation(error) || triesLeft === 1) throw error
        }
      }
      throw new AppError('unavailable', { retryAfterSeconds: 1 })
    })
  }

  /** null where the verified facts have changed since. */
  async #issue(
    method: string,
    { fingerprint, admit }: Verified,
    { context, proof, onCommitted }: Issuing,
  ): Promise<IssuedSession | null> {
    const { device, origin, deviceProof, idempotencyKey: key = null } = context
    const wanted = deviceProof === undefined ? {} : { deviceProof: { presented: proof } }
    const request = { device, origin, method, fingerprint, key, admit, onCommitted, ...wanted }
    return await this.#options.sessions.issue(request)
  }
}
