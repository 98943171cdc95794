// A lock between requests with a token and its replacement: a request with the old token that arrives after
// the new one was used ends the session.
import type { HufuStorage } from './storage.ts'

/**
 * A read-write lock: shared tasks run together, exclusive tasks run alone. They begin in the order of the
 * calls.
 */
export class ReadWriteLock {
  readonly #together = new Set<Promise<unknown>>()
  /** Settles when the last exclusive task has ended. */
  #lastExclusive: Promise<unknown> = Promise.resolve()

  /**
   * Runs a task with other shared tasks, but with no exclusive one. The task must not take the lock again.
   */
  shared<T>(task: () => Promise<T>): Promise<T> {
    const running = this.#lastExclusive.then(task)
    const over = running.catch(() => {})
    this.#together.add(over)
    void over.then(() => this.#together.delete(over))
    return running
  }

  /** Runs a task after all earlier ones; later ones wait. The task must not take the lock again. */
  exclusive<T>(task: () => Promise<T>): Promise<T> {
    const running = Promise.all([this.#lastExclusive, ...this.#together]).then(task)
    this.#lastExclusive = running.catch(() => {})
    return running
  }
}

const locks = new WeakMap<HufuStorage, ReadWriteLock>()

/** Clients on one storage share a session, and so its lock. */
export function lockOf(storage: HufuStorage): ReadWriteLock {
  const lock = locks.get(storage) ?? new ReadWriteLock()
  locks.set(storage, lock)
  return lock
}
