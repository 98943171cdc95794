// Reads and writes of any length are done a page at a time, and one page in each turn of the event loop, whoever needs it.
import { setImmediate as endOfTurn } from 'node:timers/promises'

let last: Promise<void> = Promise.resolve()

/**
 * Resolves in a later turn of the event loop, in a turn that no other caller gets. To be awaited before each page: a page on
 * SQLite holds up everything else in the process for a millisecond or two, and a hundred of them in one turn would for a hundred times as
 * long.
 */
export function nextTurn(): Promise<void> {
  last = last.then(() => endOfTurn())
  return last
}
