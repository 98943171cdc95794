// Tasks of which one at a time is enough.

/** Whoever asks for a task that is under way already gets the result of that one. */
export class Flights<T> {
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
