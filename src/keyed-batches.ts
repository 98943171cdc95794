// Does work that was added under one key together, while earlier work of that key was under way.

interface Added<Item> {
  readonly item: Item
  readonly resolve: () => void
  readonly reject: (cause: unknown) => void
}

/** The most items of one batch. */
const batchSize = 100

export class KeyedBatches<Item> {
  readonly #run: (items: readonly Item[]) => Promise<void>
  /** What waits behind the batch that runs, by key. */
  readonly #waiting = new Map<string, Added<Item>[]>()

  /** `run` gets items of one key, in the order in which they came; no two batches of a key at once. */
  constructor(run: (items: readonly Item[]) => Promise<void>) {
    this.#run = run
  }

  /** Resolves when the batch of this item is done. @throws whatever `run` throws on that batch */
  async add(key: string, item: Item): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const added = { item, resolve, reject }
      const waiting = this.#waiting.get(key)
      if (waiting) waiting.push(added)
      else {
        this.#waiting.set(key, [])
        void this.#runAll(key, [added])
      }
    })
  }

  async #runAll(key: string, first: readonly Added<Item>[]): Promise<void> {
    for (let batch = first; batch.length > 0; batch = this.#waiting.get(key)?.splice(0, batchSize) ?? []) {
      try {
        await this.#run(batch.map(({ item }) => item))
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#waiting.delete(key)
  }
}
