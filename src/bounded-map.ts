// A map that stays small.

/** Holds at most `max` entries: a further one takes the place of the entry that was set least recently. */
export class BoundedMap<V> {
  readonly #max: number
  /** In the order in which they were set. */
  readonly #entries = new Map<string, V>()

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string): V | undefined {
    return this.#entries.get(key)
  }

  /** @returns the value that had to go, of this key or of the oldest one; undefined: none had to */
  set(key: string, value: V): V | undefined {
    const replaced = this.delete(key) ?? (this.#entries.size < this.#max ? undefined : this.#deleteOldest())
    this.#entries.set(key, value)
    return replaced
  }

  /** @returns the value that was there */
  delete(key: string): V | undefined {
    const value = this.#entries.get(key)
    this.#entries.delete(key)
    return value
  }

  clear(): void {
    this.#entries.clear()
  }

  /** From the one that was set least recently. */
  entries(): MapIterator<[string, V]> {
    return this.#entries.entries()
  }

  #deleteOldest(): V | undefined {
    const oldest = this.#entries.keys().next()
    return oldest.done ? undefined : this.delete(oldest.value)
  }
}
