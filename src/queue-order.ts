// Which work goes first where work waits for a resource of the process, such as a database connection.
import { AsyncLocalStorage } from 'node:async_hooks'

/**
 * On whose behalf work is done, the most important first. `known`: a caller whose token was verified, an
 * operator, or the server itself. `counted`: a caller without a session, whose try the limits have counted.
 * `changing`: any other request, and `reading`: one that changes nothing.
 */
export const queueClasses = ['known', 'counted', 'changing', 'reading'] as const

export type QueueClass = (typeof queueClasses)[number]

export interface QueuePlace {
  readonly queueClass: QueueClass
  /** A transaction writes what earlier steps of the same request have prepared. */
  readonly isTransaction: boolean
}

const places = new AsyncLocalStorage<QueuePlace>()
const ownWork: QueuePlace = { queueClass: 'known', isTransaction: false }

/** Runs `work`, and everything that it starts, in this class. */
export function inClass<Result>(queueClass: QueueClass, work: () => Result): Result {
  return places.run({ queueClass, isTransaction: false }, work)
}

/** The same, but never moves work into a less important class. */
export function atLeastInClass<Result>(queueClass: QueueClass, work: () => Result): Result {
  const present = currentPlace().queueClass
  return queueClasses.indexOf(queueClass) < queueClasses.indexOf(present) ? inClass(queueClass, work) : work()
}

/** Runs `work` as a transaction of the present class. */
export function asTransaction<Result>(work: () => Result): Result {
  return places.run({ ...currentPlace(), isTransaction: true }, work)
}

/** The place of the work that is running. */
export function currentPlace(): QueuePlace {
  return places.getStore() ?? ownWork
}
