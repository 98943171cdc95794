// Passwords: the rules for new ones, and argon2id hashing in a bounded pool with a bounded queue.
import { hash, type Options } from '@node-rs/argon2'
import { AppError } from '../errors.ts'
import { isCommonPassword } from './common-passwords.ts'
import { HashPool } from './hash-pool.ts'

/** The work of one argon2id hash with one lane (RFC 9106, section 3.1). */
export interface HashCost {
  readonly memoryKib: number
  readonly passes: number
}

/** OWASP's floor for argon2id: 19 MiB, two passes. */
const owaspFloor: HashCost = { memoryKib: 19_456, passes: 2 }
/** The number of argon2id in the library. */
const argon2id = 2

const minLength = 8
/** The longest password that a request may contain, in code points. */
export const passwordMax = 256

/** The same text for a password from every keyboard: Unicode NFC. */
function normalize(password: string): string {
  return password.normalize('NFC')
}

/**
 * Refuses passwords of fewer than 8 or more than 256 code points, the phone number itself, and those that
 * attackers try first. All characters are allowed, and no mixture is required (NIST SP 800-63B-4, section
 * 3.1.1.2).
 * @throws AppError `password_refused`
 */
export function assertAcceptablePassword(password: string, phoneNumber: string | null): void {
  const text = assertLength(password, minLength)
  if (phoneNumber !== null && isNumber(text.normalize('NFKC'), phoneNumber))
    throw new AppError('password_refused', { rule: 'is_phone_number' })
  if (isCommonPassword(text)) throw new AppError('password_refused', { rule: 'is_common' })
}

/**
 * Refuses what no sign-in could send: an empty password, and one of more than 256 code points.
 * @throws AppError `password_refused`
 */
export function assertPossiblePassword(password: string): void {
  assertLength(password, 1)
}

/** The normalized password. Sign-in measures the text that it is sent, which normalization may shorten. */
function assertLength(password: string, min: number): string {
  const text = normalize(password)
  const length = [...text].length
  if (length < min) throw new AppError('password_refused', { rule: 'too_short' })
  if (Math.max(length, [...password].length) > passwordMax)
    throw new AppError('password_refused', { rule: 'too_long' })
  return text
}

/** Whether a text is the phone number, with or without its country code, also reversed. */
function isNumber(text: string, phoneNumber: string): boolean {
  const digits = text.replace(/\D/g, '')
  if (!/^[+\d ()-]+$/.test(text) || digits.length < minLength) return false
  return phoneNumber.endsWith(digits) || phoneNumber.endsWith([...digits].reverse().join(''))
}

export interface PasswordsOptions {
  /** The number of hashes that are computed concurrently. */
  readonly parallel: number
  /** The number of further hashes that may wait. */
  readonly queue: number
  /** OWASP's floor, if not given. Less is for tests. */
  readonly cost?: HashCost
}

/**
 * Hashes and verifies passwords. When the threads and the queue are full, it refuses the call instead of
 * delaying all others.
 */
export class Passwords {
  readonly #threads: HashPool
  readonly #cost: Options
  /** The beginning of a PHC string of this cost. */
  readonly #prefix: string
  /** A hash that no password matches, so that an account without a password costs the same work. */
  #decoy: Promise<string> | null = null

  constructor({ parallel, queue, cost: { memoryKib, passes } = owaspFloor }: PasswordsOptions) {
    this.#threads = new HashPool(parallel, queue)
    this.#cost = { algorithm: argon2id, memoryCost: memoryKib, timeCost: passes, parallelism: 1 }
    this.#prefix = `$argon2id$v=19$m=${memoryKib},t=${passes},p=1$`
  }

  /** Whether a stored PHC string has other parameters than the present ones. */
  needsRehash(phc: string): boolean {
    return !phc.startsWith(this.#prefix)
  }

  /** The PHC string of a password. @throws AppError `overloaded` */
  async hash(password: string): Promise<string> {
    return String(await this.#threads.run({ password: normalize(password), cost: this.#cost }))
  }

  /**
   * Whether the password is the stored one. null is compared with a decoy: false after the same work. So is a
   * password that is longer than any stored one, whose normalization could take long.
   * @throws AppError `overloaded`
   */
  async verify(phc: string | null, password: string): Promise<boolean> {
    if (phc === null) this.#decoy ??= hash(crypto.randomUUID(), this.#cost)
    const stored = phc ?? (await this.#decoy)
    // A code point has two UTF-16 units at most.
    const isPossible = password.length <= 2 * passwordMax
    const compared = isPossible ? normalize(password) : ''
    const isIt = await this.#threads.run({ password: compared, phc: String(stored) })
    return phc !== null && isPossible && isIt === true
  }

  /** Refuses before anything is counted or read. @throws AppError `overloaded` */
  assertRoom(): void {
    this.#threads.assertRoom()
  }

  /** The number of hashes in computation and in the queue. */
  get load(): number {
    return this.#threads.load
  }

  /** Refuses the calls that still wait, and all later ones, as `overloaded`. */
  refuseRest(): void {
    this.#threads.refuseRest()
  }

  async close(): Promise<void> {
    await this.#threads.close()
  }
}
