// Redis answered, and its answer was no.
import { ErrorReply } from 'redis'

/** What goes by itself: a start, a fail-over, a script that runs, a slot that is elsewhere. */
const passing = /^(LOADING|MASTERDOWN|READONLY|BUSY|TRYAGAIN|CLUSTERDOWN|MOVED|ASK)\b/

/** Whether an error, or what caused it, is an answer of Redis. */
export function isRefusal(error: unknown): boolean {
  return refusalIn(error) !== null
}

/**
 * A refusal that waiting does not change: a wrong password, a right that is missing, a disk that Redis cannot
 * write.
 */
export function isLastingRefusal(error: unknown): boolean {
  const refusal = refusalIn(error)
  return refusal !== null && !passing.test(refusal.message)
}

function refusalIn(error: unknown): ErrorReply | null {
  if (error instanceof ErrorReply) return error
  return error instanceof Error && error.cause !== undefined ? refusalIn(error.cause) : null
}
