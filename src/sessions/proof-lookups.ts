// The look-up of a device proof: a read that a request causes before anything is counted, because the proof
// decides how the request is counted.
import { InTurn } from '../in-turn.ts'
import { callerBlock } from '../limits/subjects.ts'
import type { PresentedProof } from './device-proofs.ts'

type Find = (presented: PresentedProof) => Promise<string | null>

/** The most look-ups that run and wait for one IPv4 address or IPv6 network of 64 bits. */
const atOncePerAddress = 50

export class ProofLookups {
  readonly #find: Find
  readonly #turns = new InTurn({ atOnce: atOncePerAddress })

  /** `find` is `findValidProof` on the database of the server. */
  constructor(find: Find) {
    this.#find = find
  }

  /**
   * The hash of a valid proof, or null. Proofs of one address are looked up one after the other, so that a
   * flood of made-up ones from few addresses leaves connections to the database to people at other addresses.
   * @throws AppError `overloaded` where too many of this address wait
   */
  async find(presented: PresentedProof & { readonly address: string | null }): Promise<string | null> {
    if (presented.text === null) return null
    const key = callerBlock(presented.address)
    return await this.#turns.run(key, () => this.#find(presented))
  }
}
