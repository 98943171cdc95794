// The contract of what counts, and the arithmetic of a window, which each store follows.

/** At most `max` in any `ms`, with a wait after each one. */
export interface Window {
  readonly max: number
  readonly ms: number
  /** Milliseconds until the next one after the first, second, … in this window; the last goes on. Empty: no wait. */
  readonly backoffMs: readonly number[]
}

/** What a try to count gave. */
export interface Spent {
  /** 0: it was counted. Else nothing was, and this is how long it will be so. */
  readonly waitMs: number
  /** How long the next one would have to wait, if it was counted. */
  readonly nextMs: number
  /** By the clock of the store. */
  readonly at: number
}

/** A bucket that is asked: its name and all its windows. */
export interface AskedBucket {
  readonly key: string
  readonly windows: readonly Window[]
  /** It must have room, and nothing is counted in it. */
  readonly looksOnly?: boolean
}

export interface SpendOptions {
  /**
   * The caller has shown a device proof: where only so many can wait for the counters, some places are kept for such callers.
   * It changes nothing about what is counted.
   */
  readonly reserved?: boolean
}

/**
 * Counters that forget. A key is one bucket: all its windows are asked and counted in one step, whoever else asks.
 * Each window is cut into sixty slots: a slot counts until its end is a whole window ago, so that there never are more than
 * `max` in any `ms`, a wait is at most a sixtieth too long, and a bucket is small however large `max` is.
 */
export interface LimitStore {
  /** Counts one in each window, or in none of them where one is full or cools down. */
  consume(key: string, windows: readonly Window[]): Promise<Spent>
  /**
   * Counts one in each of several buckets, or in none of them where any has no room: then at least one answer has a wait,
   * and the answers of the buckets behind it may be missing.
   * No key may be there twice. The answers are in the order of the buckets.
   * @throws AppError `unavailable` or `overloaded`: nothing may be done
   */
  consumeAll(buckets: readonly AskedBucket[], options?: SpendOptions): Promise<readonly Spent[]>
  /** How long one more would have to wait, in milliseconds; 0: it has room. Counts nothing. */
  peek(key: string, windows: readonly Window[]): Promise<number>
  /** Takes one back that was counted at that time. */
  refund(key: string, windows: readonly Window[], at: number): Promise<void>
  /** Empties the bucket. */
  forget(key: string): Promise<void>
  close(): Promise<void>
}

export const slotsInWindow = 60

export function slotMsOf({ ms }: Pick<Window, 'ms'>): number {
  return Math.ceil(ms / slotsInWindow)
}
