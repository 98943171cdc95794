// A map with a limited number of entries.

/** Holds at most `max` entries: a further one replaces the entry that was set least recently. */
export class BoundedMap<V> {
  readonly #max: number
  /** The entries in the order in which they were set. */
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

  /** @returns the replaced value, of this key or of the oldest one; undefined where none was replaced */
  set(key: string, value: V): V | undefined {
    const replaced = this.delete(key) ?? (this.#entries.size < this.#max ? undefined : this.#deleteOldest())
    this.#entries.set(key, value)
    return replaced
  }

  /** @returns the removed value, or undefined */
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
