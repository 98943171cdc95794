// Sign-ins that a person considers one: concurrent taps, a code that is sent twice, and attempts whose
// response was lost.
import { HufuError } from './errors.ts'
import type { SignInInput } from './inputs.ts'
import type { NewSignIn } from './models.ts'
import type { Clock } from './runtime.ts'
import { newSession } from './wire.ts'

/** For how long the server repeats a sign-in by its key, while its code may still be valid. */
const repeatableMs = 120_000

/** 128 bits, as the server requires. */
const keyBytes = 16

/** Returns this many random bytes of a secure source; null where the platform has none. */
export type RandomBytes = (count: number) => Uint8Array | null | Promise<Uint8Array | null>

/** Signs in, with a key that it requests when it is its turn. */
type Attempt = (key: () => Promise<string | null>) => Promise<NewSignIn>

interface Try {
  /** The request as text. */
  readonly what: string
  readonly at: number
}

export interface SignInParts {
  readonly clock: Clock
  readonly randomBytes: RandomBytes
  readonly onBackgroundError: (error: unknown) => void
  /** The id of the present session. */
  current(): string | null
}

export class SignIns {
  readonly #parts: SignInParts
  #underWay: { readonly what: string; readonly result: Promise<NewSignIn> } | null = null
  #done: (Try & { readonly result: NewSignIn }) | null = null
  /** The last attempt that has not succeeded. The server may have created a session for it. */
  #open: (Try & { readonly key: string | null }) | null = null

  constructor(parts: SignInParts) {
    this.#parts = parts
  }

  /**
   * Signs in by `attempt`, which sends the key. The same sign-in twice is one: while the first is under way
   * and, with a code, which is used up, as long as its session is signed in. After a failure the key is sent
   * again, so that the server can repeat the lost response.
   */
  run(input: SignInInput, attempt: Attempt): Promise<NewSignIn> {
    const what = JSON.stringify(newSession(input))
    if (this.#underWay?.what === what) return this.#underWay.result
    const { clock, current } = this.#parts
    const done = this.#done
    if (
      input.code !== undefined &&
      done &&
      this.#isSame(done, what) &&
      done.result.session.id === current()
    ) {
      return Promise.resolve(done.result)
    }
    const at = clock.now()
    const result = this.#attempt({ what, at, isByCode: input.code !== undefined }, attempt)
    const underWay = { what, result }
    this.#underWay = underWay
    const land = () => {
      if (this.#underWay === underWay) this.#underWay = null
    }
    result.then(land, land)
    return result
  }

  /** After a sign-out, every sign-in is a new one. */
  forget(): void {
    this.#underWay = null
    this.#done = null
    this.#open = null
  }

  async #attempt(
    { what, at, isByCode }: Try & { readonly isByCode: boolean },
    attempt: Attempt,
  ): Promise<NewSignIn> {
    const key = () => this.#keyFor({ what, at })
    const result = await attempt(key).catch((error: unknown) => {
      if (!isUsedKey(error)) throw error
      // The session of the lost answer has ended: this is a new sign-in.
      if (this.#open?.what === what) this.#open = null
      return attempt(key)
    })
    if (this.#open?.what === what) this.#open = null
    // Only a code is used up by its sign-in. A password stays in memory no longer than it is needed.
    this.#done = isByCode ? { what, at, result } : null
    return result
  }

  async #keyFor({ what, at }: Try): Promise<string | null> {
    if (!this.#open || !this.#isSame(this.#open, what)) this.#open = { what, at, key: await this.#newKey() }
    return this.#open.key
  }

  #isSame(before: Try, what: string): boolean {
    const age = this.#parts.clock.now() - before.at
    return before.what === what && age >= 0 && age < repeatableMs
  }

  /** null: without a secure source of randomness, an attacker could guess the key. */
  async #newKey(): Promise<string | null> {
    try {
      const bytes = await this.#parts.randomBytes(keyBytes)
      return bytes && bytes.length === keyBytes ? base64url(bytes) : null
    } catch (error) {
      this.#parts.onBackgroundError(error)
      return null
    }
  }
}

function isUsedKey(error: unknown): boolean {
  if (!(error instanceof HufuError)) return false
  return error.fields.some(({ pointer, problem }) => pointer === '/idempotency-key' && problem === 'is_used')
}

// btoa and Buffer are missing on most platforms.
function base64url(bytes: Uint8Array): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  let text = ''
  let bits = 0
  let count = 0
  for (const byte of bytes) {
    bits = (bits << 8) | byte
    for (count += 8; count >= 6; count -= 6) text += alphabet.charAt((bits >> (count - 6)) & 63)
    bits &= (1 << count) - 1
  }
  return count > 0 ? text + alphabet.charAt((bits << (6 - count)) & 63) : text
}
