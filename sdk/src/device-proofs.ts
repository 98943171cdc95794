// What this installation can show of earlier sign-ins: with it, strangers who try a number do not shut out its owner.
import type { HufuStorage } from './storage.ts'
import { Turns } from './turns.ts'
import { isJson } from './wire.ts'

/** Apart from the session, because it outlives signing out: the next sign-in is what it is for. */
const key = 'hufu.proofs'

/** So many people use one installation; the value stays below 2 KB. */
const maxProofs = 8

/** With the country code, and as people dial it. */
const maxSpellings = 4

interface KeptProof {
  /** The number's spellings, as `nameOf` writes them. */
  readonly numbers: readonly string[]
  readonly proof: string
}

export class DeviceProofs {
  readonly #storage: HufuStorage
  readonly #onTrouble: (error: unknown) => void
  readonly #turns = new Turns()

  constructor(storage: HufuStorage, onTrouble: (error: unknown) => void) {
    this.#storage = storage
    this.#onTrouble = onTrouble
  }

  /** The member to send with a request about this number; none where there is no proof. Never fails. */
  find(phoneNumber: string): Promise<{ readonly device_proof?: string }> {
    return this.#turns.take(async () => {
      const name = nameOf(phoneNumber)
      const found = (await this.#read()).find(({ numbers }) => numbers.includes(name))
      return found ? { device_proof: found.proof } : {}
    })
  }

  /** Keeps the proof for a number, in each of its spellings, instead of the one before. Never fails. */
  keep(spellings: readonly string[], proof: string | null): Promise<void> {
    return this.#turns.take(async () => {
      // What the server would not take must not be sent to it.
      if (proof === null || !/^[\x21-\x7e]{1,64}$/.test(proof)) return
      const names = spellings.map(nameOf)
      const isSame = ({ numbers }: KeptProof) => numbers.some((name) => names.includes(name))
      const all = await this.#read()
      // A number that was typed in another way before is found by that, too.
      const before = all.filter(isSame).map(({ numbers }) => numbers)
      const numbers = Array.from(new Set(names.concat(...before))).slice(0, maxSpellings)
      const proofs = [{ numbers, proof }, ...all.filter((kept) => !isSame(kept))].slice(0, maxProofs)
      try {
        await this.#storage.set(key, JSON.stringify({ v: 1, proofs }))
      } catch (error) {
        this.#onTrouble(error)
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
      this.#onTrouble(error)
      return []
    }
  }
}

function isProof(value: unknown): value is KeptProof {
  return isJson(value) && Array.isArray(value.numbers) && typeof value.proof === 'string'
}

/**
 * A name for a number by which nobody reads it in the storage after its owner has signed out (FNV-1a, of 32 bits). Spaces,
 * hyphens and the like make no other name.
 */
function nameOf(phoneNumber: string): string {
  const digits = phoneNumber.normalize('NFKC').replace(/\D/g, '')
  let hash = 0x811c9dc5
  for (const digit of digits) hash = Math.imul(hash ^ digit.charCodeAt(0), 0x01000193)
  return (hash >>> 0).toString(36)
}
