// Splits long reads and writes into pages: all callers together process one page in each turn of the event
// loop.
import { setImmediate as endOfTurn } from 'node:timers/promises'

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
