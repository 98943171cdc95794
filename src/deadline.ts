// Waiting for others, but not for ever.

/**
 * The result of the work, or after `ms` an error with the code DEADLINE. Where this process itself was blocked
 * for that long, an answer that has arrived meanwhile is read first.
 * @param from what is waited for, as the error's message says it: `Redis`, `the database`
 * @param late gets the result of work that ended after the error
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
