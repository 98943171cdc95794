// Values that are usually there at once: a promise costs a request more than a look into memory does.

/** A value, or a promise of it where it has to be fetched. */
export type MaybePromise<T> = T | Promise<T>

/** What `next` makes of a value: at once where the value is there. Errors come as `next` or the promise throws them. */
export function mapMaybe<T, R>(value: MaybePromise<T>, next: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
