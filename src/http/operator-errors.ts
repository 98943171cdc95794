// Errors whose cause the client does not see go to the log. While a database is away or overloaded, every
// request has the same one, and a line with a stack for each would fill the disk.
import type { FastifyRequest } from 'fastify'
import { BoundedMap } from '../bounded-map.ts'
import type { AppError, ErrorCode } from '../errors.ts'

/** A client can do nothing about these errors. */
const isForOperators = new Set<ErrorCode>(['internal', 'unavailable', 'code_not_sent'])

/** The most lines of one cause in `windowMs`; the rest is counted. */
const linesMax = 10
const windowMs = 1_000
/** Causes that are counted at a time. Some messages name an address or a duration. */
const causesMax = 100

/** Where the lines go. `more`: errors of the same cause that have no line of their own. */
export interface OperatorErrorLog {
  error(request: FastifyRequest, error: AppError, more: number): void
}

interface Window {
  readonly endsAt: number
  lines: number
  more: number
  last: { readonly request: FastifyRequest; readonly error: AppError } | null
}

export class OperatorErrors {
  readonly #log: OperatorErrorLog
  readonly #windows = new BoundedMap<Window>(causesMax)

  constructor(log: OperatorErrorLog) {
    this.#log = log
  }

  /**
   * Logs an error that is for operators: at most ten a second with one cause, and a line with the number of
   * others.
   */
  note(request: FastifyRequest, error: AppError): void {
    if (!isForOperators.has(error.code)) return
    const window = this.#windowOf(error)
    if (window.lines < linesMax) {
      window.lines++
      this.#log.error(request, error, 0)
      return
    }
    window.more++
    if (window.last === null) setTimeout(() => this.#close(window), window.endsAt - performance.now()).unref()
    window.last = { request, error }
  }

  #windowOf(error: AppError): Window {
    const cause = causeOf(error)
    const now = performance.now()
    const present = this.#windows.get(cause)
    if (present && now < present.endsAt) return present
    const next = { endsAt: now + windowMs, lines: 0, more: 0, last: null }
    this.#windows.set(cause, next)
    return next
  }

  #close({ last, more }: Window): void {
    if (last) this.#log.error(last.request, last.error, more - 1)
  }
}

function causeOf({ code, cause }: AppError): string {
  return cause instanceof Error ? `${code} ${cause.name} ${cause.message}` : code
}
