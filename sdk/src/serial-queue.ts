// Runs tasks one after the other.

/** Runs tasks in the order of the calls. A failing task does not stop the next one. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve()

  take<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(task)
    this.#last = turn.catch(() => {})
    return turn
  }
}
