// The listeners of one event.
export type Listener<Event> = (event: Event) => void | Promise<void>

/**
 * Listeners are called one after the other and never awaited. The error of one is reported and does not
 * affect the others.
 */
export class Listeners<Event> {
  readonly #listeners = new Set<{ readonly tell: Listener<Event> }>()
  readonly #onBackgroundError: (error: unknown) => void

  constructor(onBackgroundError: (error: unknown) => void) {
    this.#onBackgroundError = onBackgroundError
  }

  /** @returns a function that ends the subscription; further calls of it do nothing */
  add(tell: Listener<Event>): () => void {
    const entry = { tell }
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  tell(event: Event): void {
    for (const { tell } of [...this.#listeners]) {
      void (async () => tell(event))().catch(this.#onBackgroundError)
    }
  }
}
