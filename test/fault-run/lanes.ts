// Several works at once; their results come in the order of the works.

/**
 * Begins the works in order, at most `lanes` at once. Yields their results in the same order, each as soon as
 * it and those before it are there. Throws what a work threw, in its turn; the works after it go on.
 */
export async function* inLanes<T>(works: readonly (() => Promise<T>)[], lanes: number): AsyncGenerator<T> {
  const outcomes = works.map(() => Promise.withResolvers<T>())
  for (const { promise } of outcomes) promise.catch(() => {})
  const left = works.entries()
  const lane = async () => {
    for (const [i, work] of left) await work().then(outcomes[i]?.resolve, outcomes[i]?.reject)
  }
  for (let i = 0; i < lanes; i++) void lane()
  for (const { promise } of outcomes) yield await promise
}
