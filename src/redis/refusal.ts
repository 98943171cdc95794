// Refusals of Redis.
import { ErrorReply } from 'redis'

/** Refusals that pass with time: a start, a fail-over, a running script, a slot on another node. */
const passing = /^(LOADING|MASTERDOWN|READONLY|BUSY|TRYAGAIN|CLUSTERDOWN|MOVED|ASK)\b/

/** Whether an error, or its cause, is an error reply of Redis. */
export function isRefusal(error: unknown): boolean {
  return refusalIn(error) !== null
}

/**
 * Whether the error is a refusal that does not pass with time: a wrong password, a missing permission, a disk
 * that Redis cannot write to.
 */
export function isLastingRefusal(error: unknown): boolean {
  const refusal = refusalIn(error)
  return refusal !== null && !passing.test(refusal.message)
}

function refusalIn(error: unknown): ErrorReply | null {
  if (error instanceof ErrorReply) return error
  return error instanceof Error && error.cause !== undefined ? refusalIn(error.cause) : null
}
