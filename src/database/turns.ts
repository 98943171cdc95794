// Splits long reads and writes into pages: all callers together process one page in each turn of the event
// loop.
import { setImmediate as endOfTurn, setTimeout as sleep } from 'node:timers/promises'

let last: Promise<void> = Promise.resolve()

/**
 * Resolves in a later turn of the event loop, which no other caller gets. Await it before each page: a page
 * on SQLite blocks the process for a millisecond or two, and a hundred pages in one turn would block it for a
 * hundred times as long.
 */
export function nextTurn(): Promise<void> {
  last = last.then(() => endOfTurn())
  return last
}

/**
 * A pause after a batch of background work, twice as long as the batch took: requests get two thirds of the
 * time. On SQLite nothing else runs during a batch.
 * @param began `performance.now()` before the batch
 */
export async function restSince(began: number): Promise<void> {
  await sleep(2 * (performance.now() - began))
}
