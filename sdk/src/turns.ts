// Tasks that must not come in between each other.

/** Runs tasks in the order of their coming. A task that fails does not stop the next one. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  take<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(task)
    this.#last = turn.catch(() => {})
    return turn
  }
}
