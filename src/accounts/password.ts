// Passwords: what is accepted, and argon2id hashing in a bounded pool with a bounded queue.
import { hash, verify } from '@node-rs/argon2'
import { AppError } from '../errors.ts'
import { isCommonPassword } from './common-passwords.ts'

/** OWASP's floor for argon2id (algorithm 2 in this library): 19 MiB, two passes, one lane. */
const cost = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const
const currentCost = '$argon2id$v=19$m=19456,t=2,p=1$'

const minLength = 8
const maxLength = 256

/** One text for one password, whatever keyboard it was typed on: Unicode NFC. */
function normalize(password: string): string {
  return password.normalize('NFC')
}

/**
 * Refuses passwords of fewer than 8 or more than 256 code points, the phone number itself, and those that guessers try
 * first. Any character is welcome, no mixture is demanded (NIST SP 800-63B-4, section 3.1.1.2).
 * @throws AppError `password_refused`
 */
export function assertAcceptablePassword(password: string, phoneNumber: string): void {
  const text = normalize(password)
  const length = [...text].length
  if (length < minLength) throw new AppError('password_refused', { rule: 'too_short' })
  if (length > maxLength) throw new AppError('password_refused', { rule: 'too_long' })
  if (isNumber(text.normalize('NFKC'), phoneNumber))
    throw new AppError('password_refused', { rule: 'is_phone_number' })
  if (isCommonPassword(text)) throw new AppError('password_refused', { rule: 'is_common' })
}

/** Whether a text is the phone number, with or without its country code, or that from behind. */
function isNumber(text: string, phoneNumber: string): boolean {
  const digits = text.replace(/\D/g, '')
  if (!/^[+\d ()-]+$/.test(text) || digits.length < minLength) return false
  return phoneNumber.endsWith(digits) || phoneNumber.endsWith([...digits].reverse().join(''))
}

/** Whether a stored PHC string was made with other parameters than the ones in use. */
export function needsRehash(phc: string): boolean {
  return !phc.startsWith(currentCost)
}

export interface PasswordsOptions {
  /** How many hashes run at once. */
  readonly parallel: number
  /** How many more may wait. */
  readonly queue: number
}

/** Hashes and verifies. When the pool and its queue are full, it refuses at once instead of making everybody wait. */
export class Passwords {
  readonly #slots: Slots
  /** The hash of nothing that anybody knows, for the same work where there is no password to compare with. */
  #decoy: Promise<string> | null = null

  constructor(options: PasswordsOptions) {
    this.#slots = new Slots(options.parallel, options.queue)
  }

  /** The PHC string of a password. @throws AppError `overloaded` */
  async hash(password: string): Promise<string> {
    return await this.#slots.run(() => hash(normalize(password), cost))
  }

  /** Whether the password is the stored one. null is compared with a decoy: no, after the same work. @throws AppError `overloaded` */
  async verify(phc: string | null, password: string): Promise<boolean> {
    if (phc === null) {
      this.#decoy ??= hash(crypto.randomUUID(), cost)
      const decoy = await this.#decoy
      await this.#slots.run(() => verify(decoy, normalize(password)))
      return false
    }
    return await this.#slots.run(() => verify(phc, normalize(password)))
  }

  /** How many hashes run or wait now. */
  get load(): number {
    return this.#slots.load
  }
}

/** Runs a bounded number of tasks at once, keeps a bounded number waiting, first come, first served. */
class Slots {
  readonly #parallel: number
  readonly #queue: number
  readonly #waiting: (() => void)[] = []
  #running = 0
  /** A running mean of how long one task takes. */
  #taskMs = 50

  constructor(parallel: number, queue: number) {
    this.#parallel = parallel
    this.#queue = queue
  }

  get load(): number {
    return this.#running + this.#waiting.length
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#parallel) {
      if (this.#waiting.length >= this.#queue)
        throw new AppError('overloaded', { retryAfterSeconds: this.#secondsToDrain() })
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    } else {
      this.#running++
    }
    const began = performance.now()
    try {
      return await task()
    } finally {
      this.#taskMs = 0.9 * this.#taskMs + 0.1 * (performance.now() - began)
      const next = this.#waiting.shift()
      // The slot passes straight to the next in line, so that nobody can slip in between.
      if (next) next()
      else this.#running--
    }
  }

  #secondsToDrain(): number {
    return Math.max(1, Math.ceil((this.load / this.#parallel) * (this.#taskMs / 1000)))
  }
}
