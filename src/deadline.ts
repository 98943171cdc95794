// Waits with a deadline.

/**
 * The result of the work, or after `ms` an error with the code DEADLINE. Where this process itself was
 * blocked for that long, an answer that has arrived meanwhile is read first.
 * @param from the name of the other side in the error's message: `Redis`, `the database`
 * @param late called with the result of work that ends after the error
 */
export function withinMs<T>(
  ms: number,
  work: Promise<T>,
  { from, late = () => {} }: { readonly from: string; readonly late?: (result: T) => void },
): Promise<T> {
  return new Promise((resolve, reject) => {
    let isOver = false
    const giveUp = () => {
      isOver = true
      const error = new Error(`${from} did not answer within ${Math.ceil(ms)} ms`)
      reject(Object.assign(error, { code: 'DEADLINE' }))
    }
    const timer = setTimeout(() => setImmediate(giveUp), ms)
    work.then(
      (result) => {
        clearTimeout(timer)
        if (isOver) late(result)
        else resolve(result)
      },
      (error) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}
