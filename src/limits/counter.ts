// The arithmetic of one counter, for every store, and the text form in which SQL stores it. No clock and no
// I/O here.
import { slotMsOf, type Window } from './store.ts'

/** What was counted under one key. */
export interface Counter {
  /** The time of the last count. */
  last: number
  /** From this time on the counter is empty. */
  until: number
  /** The count of each slot, by the length of its window. */
  readonly slots: Map<number, Map<number, number>>
}

export function emptyCounter(): Counter {
  return { last: 0, until: 0, slots: new Map() }
}

/** How long the next count has to wait, in milliseconds. Drops expired slots. */
export function waitOf(counter: Counter, windows: readonly Window[], now: number): number {
  let waitMs = 0
  for (const window of windows) {
    const { max, ms, backoffMs } = window
    const slotMs = slotMsOf(window)
    const slots = slotsOf(counter, window)
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
    if (backoff !== undefined) waitMs = Math.max(waitMs, counter.last + backoff - now)
  }
  return waitMs
}

export function consumeOne(counter: Counter, windows: readonly Window[], now: number): void {
  for (const window of windows) {
    const slot = Math.floor(now / slotMsOf(window))
    const slots = slotsOf(counter, window)
    slots.set(slot, (slots.get(slot) ?? 0) + 1)
    counter.until = Math.max(counter.until, now + window.ms + slotMsOf(window))
  }
  counter.last = now
}

/** Refunds one that was counted at this time. */
export function refundOne(counter: Counter, windows: readonly Window[], at: number): void {
  for (const window of windows) {
    const slot = Math.floor(at / slotMsOf(window))
    const slots = slotsOf(counter, window)
    const count = slots.get(slot) ?? 0
    if (count > 1) slots.set(slot, count - 1)
    else slots.delete(slot)
  }
  // An attempt is counted only after the wait of the one before it, so without it there is no wait.
  if (counter.last === at) counter.last = 0
}

/** Drops expired slots, also in windows that no limit uses any more. */
export function prune({ slots }: Counter, now: number): void {
  for (const [ms, counts] of slots) {
    const slotMs = slotMsOf({ ms })
    for (const slot of counts.keys()) if ((slot + 1) * slotMs + ms <= now) counts.delete(slot)
  }
}

/** Whether the counter counts nothing, so that it need not be stored. */
export function isEmpty({ slots }: Counter): boolean {
  return [...slots.values()].every((counts) => counts.size === 0)
}

function slotsOf({ slots }: Counter, { ms }: Window): Map<number, number> {
  const known = slots.get(ms)
  if (known) return known
  const fresh = new Map<number, number>()
  slots.set(ms, fresh)
  return fresh
}

/** The end of the slot in which the n-th oldest count lies; null where there are fewer counts. */
function endOfOldest(slots: ReadonlyMap<number, number>, n: number, slotMs: number): number | null {
  let left = n
  for (const [slot, counted] of [...slots].sort(([a], [b]) => a - b)) {
    left -= counted
    if (left <= 0) return (slot + 1) * slotMs
  }
  return null
}

/**
 * `<last>|<length of the window>:<first slot>:<distance>=<count>,<distance>=<count>,…|…`. A window of sixty
 * slots takes about 300 characters at most, because a slot is written as its distance from the first one.
 */
export function textOf({ last, slots }: Counter): string {
  const windows = [...slots].flatMap(([ms, counts]) => {
    if (counts.size === 0) return []
    const first = Math.min(...counts.keys())
    const pairs = [...counts].map(([slot, count]) => `${slot - first}=${count}`)
    return [`${ms}:${first}:${pairs.join(',')}`]
  })
  return [last, ...windows].join('|')
}

/** Parses the text of `textOf`. Anything else is skipped, so that an invalid row blocks no sign-in. */
export function counterOf(text: string, until: number): Counter {
  const [last, ...windows] = text.split('|')
  const counter: Counter = { last: numberOr0(last), until, slots: new Map() }
  for (const window of windows) {
    const [ms, first, pairs = ''] = window.split(':')
    const counts = new Map<number, number>()
    for (const pair of pairs.split(',')) {
      const [distance, count] = pair.split('=')
      if (numberOr0(count) > 0) counts.set(numberOr0(first) + numberOr0(distance), numberOr0(count))
    }
    if (numberOr0(ms) > 0) counter.slots.set(numberOr0(ms), counts)
  }
  return counter
}

function numberOr0(text: string | undefined): number {
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : 0
}
