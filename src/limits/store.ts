// The contract of a store of counters, and the arithmetic of a window, which each store follows.

/** At most `max` in any `ms`, with a wait after each. */
export interface Window {
  readonly max: number
  readonly ms: number
  /**
   * Milliseconds from the first, second, … count in this window to the next; the last value repeats. Empty:
   * no wait.
   */
  readonly backoffMs: readonly number[]
}

/** The result of an attempt to count. */
export interface ConsumeResult {
  /** 0 where it was counted. Otherwise nothing was counted, and retries are refused for this long. */
  readonly waitMs: number
  /** Where it was counted, how long the next one would have to wait. */
  readonly nextMs: number
  /** The time, by the clock of the store. */
  readonly at: number
}

/** A request to count in one counter: its key and all its windows. */
export interface CounterRequest {
  readonly key: string
  readonly windows: readonly Window[]
  /** The counter must have room, and is not changed. */
  readonly peeks?: boolean
  /**
   * No flood of requests can create many such counters, so a full store drops none of them to make room for
   * others. It is the same in every request for a key.
   */
  readonly isKept?: boolean
}

export interface ConsumeOptions {
  /**
   * The caller has a device proof: a part of the waiting queue is reserved for such callers. It changes
   * nothing about what is counted.
   */
  readonly reserved?: boolean
}

/**
 * Sliding-window counters. Each key has one counter: all its windows are checked and counted atomically. Each
 * window has sixty slots: a slot counts until its end is a whole window ago, so that there are never more
 * than `max` in any `ms`, a wait is at most a sixtieth too long, and the size of a counter does not depend on
 * `max`.
 */
export interface LimitStore {
  /** Counts one in each window, or in none where one is full or has a wait. */
  consume(key: string, windows: readonly Window[]): Promise<ConsumeResult>
  /**
   * Counts one in each of several counters, or in none where one of them has no room: then at least
   * one result has a wait, and the results after it may be missing. No key may occur twice. The results are
   * in the order of the counters.
   * @throws AppError `unavailable` or `overloaded`: the request must not go on
   */
  consumeAll(counters: readonly CounterRequest[], options?: ConsumeOptions): Promise<readonly ConsumeResult[]>
  /** How long the next count would have to wait, in milliseconds; 0 where there is room. Counts nothing. */
  peek(key: string, windows: readonly Window[]): Promise<number>
  /** Refunds one that was counted at this time. */
  refund(key: string, windows: readonly Window[], at: number): Promise<void>
  /** Empties the counter. */
  reset(key: string): Promise<void>
  close(): Promise<void>
}

const slotsInWindow = 60

export function slotMsOf({ ms }: Pick<Window, 'ms'>): number {
  return Math.ceil(ms / slotsInWindow)
}
