// Shares one run of a task between concurrent callers.

/** A caller that asks for a task which is already running gets its result. */
export class Singleflight<T> {
  readonly #running = new Map<string, Promise<T>>()

  isUnderWay(key: string): boolean {
    return this.#running.has(key)
  }

  join(key: string, task: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key)
    if (running) return running
    const flight = task()
    this.#running.set(key, flight)
    const land = () => void this.#running.delete(key)
    flight.then(land, land)
    return flight
  }
}
