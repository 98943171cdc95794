// The state of the database, now and at each of its versions, and the faults of an answer to a check.
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

/** The bit of the watched session among the live ones. */
export const watchedBit = (world: World): number => (world.watched === 'A' ? 1 : 2)

export const isCommitted = ({ phase: at, isLost }: WriterState): boolean =>
  !isLost && ((at >= phase.committed && at <= phase.answered) || at === phase.diedAfter)

/** The greatest step of the feed that is visible. */
export function lastStep({ writers, strangerAt }: State): number {
  return Math.max(strangerAt, ...writers.map((writer) => (isCommitted(writer) ? writer.position : 0)))
}

/** change-rows.ts, insertChange. Without the rule: a number that has nothing to do with what is visible. */
export function nextStep(state: State, rules: Rules): number {
  return rules.stepsFollow ? lastStep(state) + 1 : 1
}

/** Whether there is a watched session at a version of the database. */
export function exists(state: State, world: World, version: number): boolean {
  const [maker] = state.writers
  return world.watched === 'A' || (isCommitted(maker) && maker.version <= version)
}

/**
 * Whether the watched session has ended by a version of the database. A lost commit is in its own version
 * alone.
 */
function hasEnded(state: State, world: World, version: number): boolean {
  const bit = watchedBit(world)
  const isIn = (w: WriterState) => (w.isLost ? w.version === version : w.version <= version)
  return state.writers.some((w) => (w.ends & bit) > 0 && w.version > 0 && isIn(w))
}

/**
 * The database loses its last commit, and transactions that are under way fail. Versions are not used again.
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

/** The version that the next commit makes. */
export const nextVersion = ({ version, writers }: State): number =>
  Math.max(version, ...writers.map((w) => w.version)) + 1

/**
 * The line of a process leads to a Redis process that is not there any more, and the process has not noticed.
 */
export function isBroken(state: State, p: Which): boolean {
  const { link } = state.processes[p]
  return link !== 0 && (state.up & link) === 0
}

/**
 * The version of the database that a check which begins now on a process must not be answered from before. It
 * has in it each change of the watched session that
 * - the process has read of in the feed, whatever Redis does, and that was not late; or
 * - has been answered, if the process's feed is not fresh; or
 * - has been answered (or, where a world asks for that, has been committed under a mark where this process
 *   looks), while there is one Redis that has kept what it acknowledged and done nothing late, and the
 *   process has no message of it under way, no line that is silent and none that is broken and not noticed
 *   yet.
 */
export function mustSee(state: State, world: World, p: Which): number {
  const process = state.processes[p]
  const hasMessage = process.line === 1 || process.line >= 3
  const isCutOff = process.isSilent || isBroken(state, p)
  // Where commits were lost, an end is known with the next reading of the feed.
  const isSame = process.hasReadLoss === state.history
  const isReached = !state.isMixed && !hasMessage && !isCutOff && isSame
  let must = 0
  for (const w of both) {
    const writer = state.writers[w]
    if (!writer.touches || !isCommitted(writer)) continue
    const isAnswered = writer.phase === phase.answered
    // Where there are no faults, every writer could mark.
    const isMarked = world.faults === undefined || (writer.run !== 0 && writer.run === process.link)
    // A late change is announced before it is answered, and known from then on.
    const isKnown = isSame && process.changedAt >= writer.position && !writer.isLate
    // A writer that has not noticed a loss settles an entry that others do not trust.
    const isReachedBy = isReached && writer.history === state.history
    const isRequired =
      isKnown ||
      (isAnswered && !process.isFresh) ||
      (isReachedBy && (isAnswered || (isMarked && world.since !== 'answer')))
    if (isRequired && writer.version > must) must = writer.version
  }
  return must
}

/** What is wrong where a check is answered from an entry; 0: nothing. */
export function faultOf(state: State, world: World, cell: number, must: number): number {
  const version = versionIn(cell)
  if (hasEnded(state, world, version)) {
    // Before the next reading of the feed, a lost end may still be taken for one.
    const isLost = state.writers.some((w) => w.isLost && w.version === version)
    if (isLost && state.processes[checker].hasReadLoss !== state.history) return 0
    return (state.live & watchedBit(world)) > 0 ? 2 : 0
  }
  return state.writers.some((w) => w.touches && w.version > version && w.version <= must) ? 1 : 0
}

/**
 * Whether a process trusts an entry: that a session has ended is so for ever.
 * RedisSessionCache.#isCurrentInFeed
 */
export function isNewEnough(state: State, world: World, p: Which, cell: number): boolean {
  return hasEnded(state, world, versionIn(cell)) || positionIn(cell) >= state.processes[p].changedAt
}
