// This installation's proofs of earlier sign-ins: with one, attackers at a number cannot keep its owner out.

import { SerialQueue } from './serial-queue.ts'
import type { HufuStorage } from './storage.ts'
import { isJson } from './wire.ts'

/** Stored apart from the session, because it outlives a sign-out: the next sign-in uses it. */
const key = 'hufu.proofs'

/** The most numbers on one installation: the value stays below 2 KB. */
const maxProofs = 8

/** The spellings of a number: with its country code, and as people dial it. */
const maxSpellings = 4

interface KeptProof {
  /** The hashes of the number's spellings, from `nameOf`. */
  readonly numbers: readonly string[]
  readonly proof: string
}

export class DeviceProofs {
  readonly #storage: HufuStorage
  readonly #onBackgroundError: (error: unknown) => void
  readonly #queue = new SerialQueue()

  constructor(storage: HufuStorage, onBackgroundError: (error: unknown) => void) {
    this.#storage = storage
    this.#onBackgroundError = onBackgroundError
  }

  /** The member to send with a request about this number; empty where there is no proof. Never fails. */
  find(phoneNumber: string): Promise<{ readonly device_proof?: string }> {
    return this.#queue.take(async () => {
      const name = nameOf(phoneNumber)
      const found = (await this.#read()).find(({ numbers }) => numbers.includes(name))
      return found ? { device_proof: found.proof } : {}
    })
  }

  /**
   * Stores the proof for a number, under each of its spellings, and replaces the previous one. Never fails.
   */
  keep(spellings: readonly string[], proof: string | null): Promise<void> {
    return this.#queue.take(async () => {
      // A value that the server would refuse must not be sent.
      if (proof === null || !/^[\x21-\x7e]{1,64}$/.test(proof)) return
      const names = spellings.map(nameOf)
      const isSame = ({ numbers }: KeptProof) => numbers.some((name) => names.includes(name))
      const all = await this.#read()
      // Earlier spellings of the number are kept.
      const before = all.filter(isSame).map(({ numbers }) => numbers)
      const numbers = Array.from(new Set(names.concat(...before))).slice(0, maxSpellings)
      const proofs = [{ numbers, proof }, ...all.filter((kept) => !isSame(kept))].slice(0, maxProofs)
      try {
        await this.#storage.set(key, JSON.stringify({ v: 1, proofs }))
      } catch (error) {
        this.#onBackgroundError(error)
      }
    })
  }

  async #read(): Promise<readonly KeptProof[]> {
    try {
      const read: unknown = await this.#storage.get(key)
      // Some storages parse what looks like JSON.
      const value: unknown = typeof read === 'string' ? JSON.parse(read || 'null') : read
      return isJson(value) && Array.isArray(value.proofs) ? value.proofs.filter(isProof) : []
    } catch (error) {
      this.#onBackgroundError(error)
      return []
    }
  }
}

function isProof(value: unknown): value is KeptProof {
  return isJson(value) && Array.isArray(value.numbers) && typeof value.proof === 'string'
}

/**
 * A hash of a number, so that the storage does not show it after a sign-out (FNV-1a, 32 bits). Spaces,
 * hyphens and the like do not change it.
 */
function nameOf(phoneNumber: string): string {
  const digits = phoneNumber.normalize('NFKC').replace(/\D/g, '')
  let hash = 0x811c9dc5
  for (const digit of digits) hash = Math.imul(hash ^ digit.charCodeAt(0), 0x01000193)
  return (hash >>> 0).toString(36)
}
