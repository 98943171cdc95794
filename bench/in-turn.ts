// The first subject of a round finds the machine as the previous round left it, so each round begins with
// another one.

/** All of them in their order, beginning with the n-th, counted around. */
export function inTurn<T>(items: readonly T[], n: number): T[] {
  const first = n % items.length
  return [...items.slice(first), ...items.slice(0, first)]
}
