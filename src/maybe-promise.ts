// Values that are usually in memory: for a request, a promise costs more than reading them.

/** A value, or a promise of it where it has to be fetched. */
export type MaybePromise<T> = T | Promise<T>

/**
 * The result of `next` for a value: synchronous where the value is not a promise. Errors are those of `next`
 * or the promise.
 */
export function mapMaybe<T, R>(value: MaybePromise<T>, next: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
