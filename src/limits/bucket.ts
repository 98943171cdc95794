// The arithmetic of one bucket, for every store, and the text in which a bucket is kept in SQL. No clock and no I/O here.
import { slotMsOf, type Window } from './store.ts'

/** What was counted under one key. */
export interface Bucket {
  /** When the last one was counted. */
  last: number
  /** When nothing in it counts any more. */
  until: number
  /** For each window, by its length: how many in each slot. */
  readonly slots: Map<number, Map<number, number>>
}

export function emptyBucket(): Bucket {
  return { last: 0, until: 0, slots: new Map() }
}

/** How long one more has to wait; drops the slots that count no more. */
export function waitOf(bucket: Bucket, windows: readonly Window[], now: number): number {
  let waitMs = 0
  for (const window of windows) {
    const { max, ms, backoffMs } = window
    const slotMs = slotMsOf(window)
    const slots = slotsOf(bucket, window)
    let count = 0
    for (const [slot, counted] of slots) {
      if ((slot + 1) * slotMs + ms <= now) slots.delete(slot)
      else count += counted
    }
    if (count >= max) {
      const leaves = endOfOldest(slots, count - max + 1, slotMs)
      waitMs = Math.max(waitMs, leaves === null ? ms : leaves + ms - now)
    }
    const backoff = count === 0 ? undefined : backoffMs[Math.min(count, backoffMs.length) - 1]
    if (backoff !== undefined) waitMs = Math.max(waitMs, bucket.last + backoff - now)
  }
  return waitMs
}

export function countOne(bucket: Bucket, windows: readonly Window[], now: number): void {
  for (const window of windows) {
    const slot = Math.floor(now / slotMsOf(window))
    const slots = slotsOf(bucket, window)
    slots.set(slot, (slots.get(slot) ?? 0) + 1)
    bucket.until = Math.max(bucket.until, now + window.ms + slotMsOf(window))
  }
  bucket.last = now
}

/** Takes one back that was counted at that time. */
export function takeBack(bucket: Bucket, windows: readonly Window[], at: number): void {
  for (const window of windows) {
    const slot = Math.floor(at / slotMsOf(window))
    const slots = slotsOf(bucket, window)
    const count = slots.get(slot) ?? 0
    if (count > 1) slots.set(slot, count - 1)
    else slots.delete(slot)
  }
  // It was counted, so the wait after the one before it was over: without it there is none.
  if (bucket.last === at) bucket.last = 0
}

/** Drops what counts no more, in windows too that nobody asks for any more. */
export function prune({ slots }: Bucket, now: number): void {
  for (const [ms, counts] of slots) {
    const slotMs = slotMsOf({ ms })
    for (const slot of counts.keys()) if ((slot + 1) * slotMs + ms <= now) counts.delete(slot)
  }
}

/** Whether it counts nothing, so that it may as well not be there. */
export function isEmpty({ slots }: Bucket): boolean {
  return [...slots.values()].every((counts) => counts.size === 0)
}

function slotsOf({ slots }: Bucket, { ms }: Window): Map<number, number> {
  const known = slots.get(ms)
  if (known) return known
  const fresh = new Map<number, number>()
  slots.set(ms, fresh)
  return fresh
}

/** The end of the slot with which so many of the oldest leave; null where there are not so many. */
function endOfOldest(slots: ReadonlyMap<number, number>, howMany: number, slotMs: number): number | null {
  let left = howMany
  for (const [slot, counted] of [...slots].sort(([a], [b]) => a - b)) {
    left -= counted
    if (left <= 0) return (slot + 1) * slotMs
  }
  return null
}

/**
 * `<last>|<length of the window>:<first slot>:<distance>=<count>,<distance>=<count>,…|…`. A window of sixty slots takes some 300
 * characters at most, because a slot is written as its distance from the first one.
 */
export function textOf({ last, slots }: Bucket): string {
  const windows = [...slots].flatMap(([ms, counts]) => {
    if (counts.size === 0) return []
    const first = Math.min(...counts.keys())
    const pairs = [...counts].map(([slot, count]) => `${slot - first}=${count}`)
    return [`${ms}:${first}:${pairs.join(',')}`]
  })
  return [last, ...windows].join('|')
}

/** What `textOf` wrote. What it did not write is skipped: a row that was changed by hand stops nobody from signing in. */
export function bucketOf(text: string, until: number): Bucket {
  const [last, ...windows] = text.split('|')
  const bucket: Bucket = { last: numberOr0(last), until, slots: new Map() }
  for (const window of windows) {
    const [ms, first, pairs = ''] = window.split(':')
    const counts = new Map<number, number>()
    for (const pair of pairs.split(',')) {
      const [distance, count] = pair.split('=')
      if (numberOr0(count) > 0) counts.set(numberOr0(first) + numberOr0(distance), numberOr0(count))
    }
    if (numberOr0(ms) > 0) bucket.slots.set(numberOr0(ms), counts)
  }
  return bucket
}

function numberOr0(text: string | undefined): number {
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : 0
}
