// The first subject of a round finds the machine as the previous round left it, so each round starts with
// another subject.

/** All items in order, starting with the n-th and wrapping around. */
export function rotateOrder<T>(items: readonly T[], n: number): T[] {
  const first = n % items.length
  return [...items.slice(first), ...items.slice(0, first)]
}
