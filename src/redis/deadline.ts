// How long Redis may take, for copies and for counters alike.

export const connectMs = 1_000

/**
 * The result of the work, or a rejection when it takes too long. Where this process itself was blocked for
 * that long, an answer that has arrived meanwhile is read first.
 */
export async function withinMs<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const tell = () => late.reject(new Error(`Redis did not answer within ${Math.ceil(ms)} ms`))
  const timer = setTimeout(() => setImmediate(tell), ms)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
