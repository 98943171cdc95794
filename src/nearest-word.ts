// Finds the known word that a misspelt one means.

/**
 * The known word with an edit distance of at most two from this one, or the only one that begins with this
 * one and an underscore (`phone` for `phone_number`), or undefined.
 */
export function nearestWord<T extends string>(word: string, known: readonly T[]): T | undefined {
  const near = known
    // The distance is at least the difference of the lengths.
    .filter((one) => Math.abs(one.length - word.length) <= 2)
    .map((one) => ({ one, letters: distance(one, word) }))
    .filter(({ one, letters }) => letters <= 2 && letters < one.length / 2)
    .toSorted((a, b) => a.letters - b.letters)
  const [longer, ...others] = known.filter((one) => one.startsWith(`${word}_`))
  return near[0]?.one ?? (others.length === 0 ? longer : undefined)
}

/** The edit distance of two words: letters inserted, deleted, replaced, or swapped with the next one. */
function distance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swap = isSwapped ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY
      next.push(Math.min(change, swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    before = row
    row = next
  }
  return row[b.length] ?? 0
}
