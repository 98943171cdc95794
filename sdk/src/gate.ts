// Keeps requests with a token apart from its replacement: one that arrives after the successor was used ends the session.
import type { HufuStorage } from './storage.ts'

/** Tasks that run together, and tasks that run alone. They begin in the order of their coming. */
export class Gate {
  readonly #together = new Set<Promise<unknown>>()
  /** Settles when the last task that is alone is over. */
  #lastAlone: Promise<unknown> = Promise.resolve()

  /** Runs a task beside others, but beside none that is alone. It must not ask for its own gate. */
  enter<T>(task: () => Promise<T>): Promise<T> {
    const running = this.#lastAlone.then(task)
    const over = running.catch(() => {})
    this.#together.add(over)
    void over.then(() => this.#together.delete(over))
    return running
  }

  /** Runs a task when all before it are over; those that come meanwhile wait. It must not ask for its own gate. */
  alone<T>(task: () => Promise<T>): Promise<T> {
    const running = Promise.all([this.#lastAlone, ...this.#together]).then(task)
    this.#lastAlone = running.catch(() => {})
    return running
  }
}

const gates = new WeakMap<HufuStorage, Gate>()

/** Clients on one storage share a session, and so its gate. */
export function gateOf(storage: HufuStorage): Gate {
  const gate = gates.get(storage) ?? new Gate()
  gates.set(storage, gate)
  return gate
}
