// A pool of workers for asynchronous tasks, whose results keep the order of the tasks.

/**
 * Starts the tasks in order, at most `concurrency` at a time. Yields their results in the same order, each as
 * soon as it and those before it are there. Throws the error of a failed task when its turn comes; the tasks
 * after it continue.
 */
export async function* runConcurrently<T>(
  tasks: readonly (() => Promise<T>)[],
  concurrency: number,
): AsyncGenerator<T> {
  const outcomes = tasks.map(() => Promise.withResolvers<T>())
  for (const { promise } of outcomes) promise.catch(() => {})
  const queue = tasks.entries()
  const worker = async () => {
    for (const [i, task] of queue) await task().then(outcomes[i]?.resolve, outcomes[i]?.reject)
  }
  for (let i = 0; i < concurrency; i++) void worker()
  for (const { promise } of outcomes) yield await promise
}
