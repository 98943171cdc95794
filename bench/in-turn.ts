// Whoever comes first in a round meets the machine as the round before left it: each round begins with another one.

/** All of them in their order, beginning with the n-th, counted around. */
export function inTurn<T>(items: readonly T[], n: number): T[] {
  const first = n % items.length
  return [...items.slice(first), ...items.slice(0, first)]
}
