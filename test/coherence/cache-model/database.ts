// The content of the database, now and at each of its versions, and what is wrong with an answer to a check.
import type { Rules, World } from './rules.ts'
import {
  both,
  checker,
  newWriter,
  phase,
  positionIn,
  type State,
  versionIn,
  type Which,
  type WriterState,
} from './states.ts'

export const faults = [
  null,
  'a check that began after an end is answered from before it (I1, I2)',
  'a check of a live session is refused (I4, I17)',
  'two sessions are live in a place for one (I6)',
] as const

/** The bit of the watched session in `State.live`. */
export const watchedBit = (world: World): number => (world.watched === 'A' ? 1 : 2)

export const isCommitted = ({ phase: at, isLost }: WriterState): boolean =>
  !isLost && ((at >= phase.committed && at <= phase.answered) || at === phase.diedAfter)

/** The greatest step of the feed that is visible. */
export function lastStep({ writers, otherAccountAt }: State): number {
  return Math.max(otherAccountAt, ...writers.map((writer) => (isCommitted(writer) ? writer.position : 0)))
}

/** insertChange of change-rows.ts. Without the rule, a number that does not depend on what is visible. */
export function nextStep(state: State, rules: Rules): number {
  return rules.stepsFollow ? lastStep(state) + 1 : 1
}

/** Whether the watched session exists at a version of the database. */
export function exists(state: State, world: World, version: number): boolean {
  const [maker] = state.writers
  return world.watched === 'A' || (isCommitted(maker) && maker.version <= version)
}

/**
 * Whether the watched session has ended at a version of the database. A lost commit is only in its own
 * version.
 */
function hasEnded(state: State, world: World, version: number): boolean {
  const bit = watchedBit(world)
  const isIn = (w: WriterState) => (w.isLost ? w.version === version : w.version <= version)
  return state.writers.some((w) => (w.ends & bit) > 0 && w.version > 0 && isIn(w))
}

/**
 * The database loses its last commit, and open transactions fail. Its version number is not used a second
 * time.
 */
export function loseCommit(state: State): void {
  const last = state.writers.find((w) => isCommitted(w) && w.version === state.version)
  if (!last) return
  last.isLost = true
  state.live |= last.ends
  state.history = 1
  state.version = Math.max(0, ...state.writers.map((w) => (isCommitted(w) ? w.version : 0)))
  state.lock = 0
  for (const writer of state.writers) {
    if (writer.phase < phase.looked || writer.phase > phase.written) continue
    const { phase: _, ...none } = newWriter()
    Object.assign(writer, none, { phase: phase.diedBefore })
  }
}

/** The version that the next commit creates. */
export const nextVersion = ({ version, writers }: State): number =>
  Math.max(version, ...writers.map((w) => w.version)) + 1

/**
 * Whether the connection of a process leads to a Redis process that has crashed, which the process has not
 * noticed.
 */
export function isBroken(state: State, p: Which): boolean {
  const { link } = state.processes[p]
  return link !== 0 && (state.up & link) === 0
}

/**
 * The oldest version of the database that a check which starts now may be answered with. It includes each
 * change of the watched session that
 * - the process has read in the feed, whatever Redis does, and that was not late; or
 * - has been answered, if the process's feed is stale; or
 * - has been answered (or, unless the world says `since: 'answer'`, has been committed under a mark where
 *   this process looks), as long as there is one Redis process that has kept all that it acknowledged and
 *   done nothing late, no message from it to the process is under way, and the connection is neither stalled
 *   nor broken.
 */
export function mustSee(state: State, world: World, p: Which): number {
  const process = state.processes[p]
  const hasMessage = process.inbox === 1 || process.inbox >= 3
  const isCutOff = process.isStalled || isBroken(state, p)
  // After a loss of commits, an end is known with the next read of the feed.
  const isSame = process.hasReadLoss === state.history
  const isReached = !state.isMixed && !hasMessage && !isCutOff && isSame
  let must = 0
  for (const w of both) {
    const writer = state.writers[w]
    if (!writer.touches || !isCommitted(writer)) continue
    const isAnswered = writer.phase === phase.answered
    // Without faults, every writer could mark.
    const isMarked = world.faults === undefined || (writer.run !== 0 && writer.run === process.link)
    // A late change is known once it is announced again, which is before it is answered.
    const isKnown = isSame && process.changedAt >= writer.position && !writer.isLate
    // The settle of a writer that has not noticed a loss writes an entry that other processes do not trust.
    const isReachedBy = isReached && writer.history === state.history
    const isRequired =
      isKnown ||
      (isAnswered && !process.isFresh) ||
      (isReachedBy && (isAnswered || (isMarked && world.since !== 'answer')))
    if (isRequired && writer.version > must) must = writer.version
  }
  return must
}

/** The number of the fault if a check is answered with this entry; 0: none. */
export function faultOf(state: State, world: World, cell: number, must: number): number {
  const version = versionIn(cell)
  if (hasEnded(state, world, version)) {
    // Until the next read of the feed, a lost end may still count as one.
    const isLost = state.writers.some((w) => w.isLost && w.version === version)
    if (isLost && state.processes[checker].hasReadLoss !== state.history) return 0
    return (state.live & watchedBit(world)) > 0 ? 2 : 0
  }
  return state.writers.some((w) => w.touches && w.version > version && w.version <= must) ? 1 : 0
}

/**
 * Whether a process trusts an entry. An ended session stays ended, so that such an entry is always trusted.
 * RedisSessionCache.#isCurrentInFeed
 */
export function isNewEnough(state: State, world: World, p: Which, cell: number): boolean {
  return hasEnded(state, world, versionIn(cell)) || positionIn(cell) >= state.processes[p].changedAt
}
