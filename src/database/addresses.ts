// The addresses of one database, of which one leads to the primary.
import type { DatabaseAddress, DatabaseServer } from './database-url.ts'
import { messageOf } from './failures.ts'

/** Remembers the address that worked last, and begins with it; at first with the first one of the URL. */
export class Addresses {
  readonly #all: DatabaseServer['addresses']
  #index = 0

  constructor(all: DatabaseServer['addresses']) {
    this.#all = all
  }

  get count(): number {
    return this.#all.length
  }

  /** Where a connection that is opened now leads. */
  get current(): DatabaseAddress {
    return this.#all[this.#index] ?? this.#all[0]
  }

  /**
   * The result of `open`, which may open a connection to the present address. Where that fails, the next
   * address is the present one, and `open` is called again: once for each address.
   * @throws the error of `open`; with several addresses, an AggregateError of all of them
   */
  async tryEach<T>(open: () => Promise<T>): Promise<T> {
    const errors: unknown[] = []
    for (;;) {
      const tried = this.#index
      try {
        return await open()
      } catch (error) {
        errors.push(error)
        // Another request may have gone on to the next one already.
        if (this.#index === tried) this.#index = (tried + 1) % this.count
        if (this.count === 1) throw error
        if (errors.length === this.count)
          throw new AggregateError(errors, [...new Set(errors.map(messageOf))].join('; '))
      }
    }
  }
}
