// Passwords: the rules for new ones, and argon2id hashing in a bounded pool with a bounded queue.
import { hash } from '@node-rs/argon2'
import { AppError } from '../errors.ts'
import { isCommonPassword } from './common-passwords.ts'
import { HashThreads } from './hash-pool.ts'

/** OWASP's floor for argon2id (algorithm 2 in this library): 19 MiB, two passes, one lane. */
const cost = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const
const currentCost = '$argon2id$v=19$m=19456,t=2,p=1$'

const minLength = 8
const maxLength = 256

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
  const text = normalize(password)
  const length = [...text].length
  if (length < minLength) throw new AppError('password_refused', { rule: 'too_short' })
  if (length > maxLength) throw new AppError('password_refused', { rule: 'too_long' })
  if (phoneNumber !== null && isNumber(text.normalize('NFKC'), phoneNumber))
    throw new AppError('password_refused', { rule: 'is_phone_number' })
  if (isCommonPassword(text)) throw new AppError('password_refused', { rule: 'is_common' })
}

/** Whether a text is the phone number, with or without its country code, also reversed. */
function isNumber(text: string, phoneNumber: string): boolean {
  const digits = text.replace(/\D/g, '')
  if (!/^[+\d ()-]+$/.test(text) || digits.length < minLength) return false
  return phoneNumber.endsWith(digits) || phoneNumber.endsWith([...digits].reverse().join(''))
}

/** Whether a stored PHC string has other parameters than the present ones. */
export function needsRehash(phc: string): boolean {
  return !phc.startsWith(currentCost)
}

export interface PasswordsOptions {
  /** The number of hashes that are computed concurrently. */
  readonly parallel: number
  /** The number of further hashes that may wait. */
  readonly queue: number
}

/**
 * Hashes and verifies passwords. When the threads and the queue are full, it refuses the call instead of
 * delaying all others.
 */
export class Passwords {
  readonly #threads: HashThreads
  /** A hash that no password matches, so that an account without a password costs the same work. */
  #decoy: Promise<string> | null = null

  constructor({ parallel, queue }: PasswordsOptions) {
    this.#threads = new HashThreads(parallel, queue)
  }

  /** The PHC string of a password. @throws AppError `overloaded` */
  async hash(password: string): Promise<string> {
    return String(await this.#threads.run({ password: normalize(password), cost }))
  }

  /**
   * Whether the password is the stored one. null is compared with a decoy: false after the same work.
   * @throws AppError `overloaded`
   */
  async verify(phc: string | null, password: string): Promise<boolean> {
    if (phc === null) this.#decoy ??= hash(crypto.randomUUID(), cost)
    const stored = phc ?? (await this.#decoy)
    const isIt = await this.#threads.run({ password: normalize(password), phc: String(stored) })
    return phc !== null && isIt === true
  }

  /** Refuses before anything is counted or read. @throws AppError `overloaded` */
  assertRoom(): void {
    this.#threads.assertRoom()
  }

  /** The number of hashes in computation and in the queue. */
  get load(): number {
    return this.#threads.load
  }

  async close(): Promise<void> {
    await this.#threads.close()
  }
}
