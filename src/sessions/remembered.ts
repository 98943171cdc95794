// What this process remembers of one kind of copy on one Redis connection, by id: RESP3 tracking tells when a key that
// was read has changed.
/** What was found under an id: a copy, a mark, or nothing. */
export type Found = object | 'marked' | null

interface Read {
  readonly answer: Promise<Found>
  /** False once Redis said that the key changed: the answer may still be used by who asked, but not be remembered. */
  isCurrent: boolean
}

/**
 * The client's own cache of node-redis does the same, but clones and parses each answer and costs more than the rest
 * of a check. The order that keeps this true is Redis's: a change after a read is announced after that read's answer,
 * on the same connection. With the connection, everything remembered goes.
 */
export class Remembered {
  readonly #max: number
  readonly #lifeMs: number
  readonly #found = new Map<string, { readonly value: Found; readonly until: number }>()
  readonly #reads = new Map<string, Read>()

  constructor(max: number, lifeMs: number) {
    this.#max = max
    this.#lifeMs = lifeMs
  }

  /** What is remembered under an id, or undefined. */
  get(id: string): Found | undefined {
    const known = this.#found.get(id)
    if (known === undefined) return undefined
    if (known.until > performance.now()) return known.value
    this.#found.delete(id)
    return undefined
  }

  /** What is remembered, or else what `ask` answers; many that ask at once ask once. */
  async read(id: string, ask: () => Promise<Found>): Promise<Found> {
    const known = this.get(id)
    if (known !== undefined) return known
    const running = this.#reads.get(id)
    if (running) return await running.answer
    const read: Read = { answer: ask(), isCurrent: true }
    this.#reads.set(id, read)
    try {
      const value = await read.answer
      if (read.isCurrent) this.#keep(id, value)
      return value
    } finally {
      if (this.#reads.get(id) === read) this.#reads.delete(id)
    }
  }

  /** Redis says that what is under this id (null: under every id) has changed. */
  forget(id: string | null): void {
    const reads = id === null ? [...this.#reads] : [[id, this.#reads.get(id)] as const]
    for (const [changed, read] of reads) {
      if (read) read.isCurrent = false
      this.#reads.delete(changed)
    }
    if (id === null) this.#found.clear()
    else this.#found.delete(id)
  }

  #keep(id: string, value: Found): void {
    if (this.#found.size >= this.#max) {
      const [oldest] = this.#found.keys()
      if (oldest !== undefined) this.#found.delete(oldest)
    }
    this.#found.set(id, { value, until: performance.now() + this.#lifeMs })
  }
}
