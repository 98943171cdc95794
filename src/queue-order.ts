// Which work goes first where work waits for a resource of the process, such as a database connection.
import { AsyncLocalStorage } from 'node:async_hooks'

/**
 * `first`: a write for a caller that was authenticated or counted in the limits. `last`: a request that
 * changes nothing. Anything else is `middle`.
 */
export type QueuePlace = 'first' | 'middle' | 'last'

const places = new AsyncLocalStorage<QueuePlace>()

/** Runs `work`, and everything that it starts, at this place. */
export function atPlace<Result>(place: QueuePlace, work: () => Result): Result {
  return places.run(place, work)
}

/** The place of the work that is running. */
export function currentPlace(): QueuePlace {
  return places.getStore() ?? 'middle'
}
