// Those who want to be told of an event: adding them, and telling them.
export type Listener<Event> = (event: Event) => void | Promise<void>

/** Listeners are told one after the other and never waited for; one that fails is reported and harms no other. */
export class Listeners<Event> {
  readonly #listeners = new Set<{ readonly tell: Listener<Event> }>()
  readonly #onTrouble: (error: unknown) => void

  constructor(onTrouble: (error: unknown) => void) {
    this.#onTrouble = onTrouble
  }

  /** @returns ends the subscription; more than one call does no harm */
  add(tell: Listener<Event>): () => void {
    const entry = { tell }
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  tell(event: Event): void {
    for (const { tell } of [...this.#listeners]) {
      void (async () => tell(event))().catch(this.#onTrouble)
    }
  }
}
