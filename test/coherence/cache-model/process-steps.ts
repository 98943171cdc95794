// The steps of a server process that checks tokens: its client-side cache, and its reads of Redis, the
// database and the feed. verification.ts, redis.ts, client-side-cache.ts, feed.ts, verified-tokens.ts.

import { faultOf, isBroken, isCommitted, isNewEnough, lastStep, mustSee } from './database.ts'
import { cellAt, endGet, endTicket, type Fate, fates, fill, isOfHistory, runFor } from './redis-steps.ts'
import type { Rules, World } from './rules.ts'
import type { Offer } from './search.ts'
import {
  both,
  checker,
  inboxes,
  isEntry,
  nothing,
  type ProcessState,
  phase,
  readsDatabase,
  type State,
  type Which,
  type WriterState,
  withoutFirst,
  withReply,
} from './states.ts'

/** The fate of a command on a connection that is not stalled, which `send` does not read. */
const anyFate: readonly Fate[] = ['is lost']

export function offerProcessSteps(state: State, rules: Rules, world: World, offer: Offer<State>): void {
  offerChecks(state, rules, world, offer)
  if (rules.noticesLoss && state.history !== state.processes[0].history)
    offer('P0', 'notices that the database has lost a commit', (s) => {
      s.processes[0].history = s.history
    })
  for (const p of both) {
    const at = { state, rules, world, p, name: `P${p}` }
    offerReads(at, offer)
  }
  offerFeed(state, rules, world, offer)
}

interface At {
  readonly state: State
  readonly rules: Rules
  readonly world: World
  readonly p: Which
  readonly name: string
}

const name = `P${checker}`

function offerChecks(state: State, rules: Rules, world: World, offer: Offer<State>): void {
  const process = state.processes[checker]
  if (rules.freshness && !process.isFresh) {
    // SessionCache.dropStale: the first check empties the memory, and then reads the database.
    if (process.remembered !== nothing || process.getIsCurrent)
      offer(name, 'checks, and empties its memory because its feed is stale', (s) =>
        forget(s.processes[checker]),
      )
  } else if (isEntry(process.remembered)) {
    const fault = checkByMemory(state, rules, world, checker)
    if (fault !== 0)
      offer(name, 'checks with its memory', (s) => {
        s.fault = fault
      })
  } else if (process.link !== 0 && process.remembered === nothing) {
    const must = mustSee(state, world, checker)
    if (process.isAsking && process.getIsCurrent && must > process.getMust)
      offer(name, 'checks, and waits for the GET that is under way', (s) => {
        s.processes[checker].getMust = must
      })
    if (!process.isAsking && !process.isStalled)
      offer(name, 'checks, and sends a GET to Redis', (s) => sendGet(s, rules, world, checker))
  }
  if (process.isStalled || isBroken(state, checker)) return
  const inbox = inboxes[process.inbox] ?? ''
  if (inbox.startsWith('R')) offer(name, 'gets the reply', (s) => getReply(s, rules, world))
  if (inbox.startsWith('I'))
    offer(name, 'gets an invalidation', (s) => getInvalidation(s.processes[checker], rules))
  // A chunk of the socket is parsed completely before the code that waits for the reply continues.
  if (inbox.startsWith('RI'))
    offer(name, 'gets the reply and an invalidation in one chunk', (s) => {
      s.processes[checker].inbox = withoutFirst[s.processes[checker].inbox] ?? 0
      getInvalidation(s.processes[checker], rules)
      useReply(s, rules, world, checker)
    })
}

/** Also for a token that was verified recently: that relies on the memory. */
function checkByMemory(s: State, rules: Rules, world: World, p: Which): number {
  const { remembered } = s.processes[p]
  // A verified token compares no positions, because a change in the feed has removed the entry from memory.
  const isTrusted = !rules.positionsCount || !rules.feedForgets || isNewEnough(s, world, p, remembered)
  return isTrusted ? faultOf(s, world, remembered, mustSee(s, world, p)) : 0
}

function sendGet(s: State, rules: Rules, world: World, p: Which): void {
  const process = s.processes[p]
  const must = mustSee(s, world, p)
  const run = runFor(s, rules, p)
  if (run === 0) return
  process.isAsking = true
  process.getCell = cellAt(s, run)
  process.getIsCurrent = true
  process.getMust = must
  process.isTracked = true
  process.inbox = withReply[process.inbox] ?? 0
}

function getReply(s: State, rules: Rules, world: World): void {
  const process = s.processes[checker]
  process.inbox = withoutFirst[process.inbox] ?? 0
  useReply(s, rules, world, checker)
}

/** ClientSideCache.invalidate */
function getInvalidation(process: ProcessState, rules: Rules): void {
  process.inbox = withoutFirst[process.inbox] ?? 0
  if (!rules.messagesForget) return
  process.remembered = nothing
  if (rules.invalidatedIsNotKept) process.getIsCurrent = false
}

/** ClientSideCache.invalidate and clear, called by the process itself. */
function forget(process: ProcessState): void {
  process.remembered = nothing
  process.getIsCurrent = false
}

/** What a reply changes, after the other messages of its chunk. */
function useReply(s: State, rules: Rules, world: World, p: Which): void {
  const process = s.processes[p]
  const { getCell, getMust } = process
  // An entry of another history counts as a cache miss.
  const isUsed = isEntry(getCell) && isOfHistory(rules, getCell, process.history)
  if (process.getIsCurrent) process.remembered = isUsed ? getCell : readsDatabase
  if (isUsed && (!rules.positionsCount || isNewEnough(s, world, p, getCell)))
    s.fault = faultOf(s, world, getCell, getMust)
  endGet(s, p)
}

/**
 * A read of the database returns a right answer; only what it fills matters. A process may read the database
 * at any time, as it does for `rotate`.
 */
function offerReads({ state, rules, world, p, name }: At, offer: Offer<State>): void {
  const process = state.processes[p]
  if (process.ticket === 0 && process.link !== 0) {
    for (const position of positionsOf(state, rules, world, p)) {
      if (world.slowReads && rules.ticketBeforeRead)
        offer(name, 'starts to read the database', (s) => beginRead(s, rules, p, position))
      else if (world.slowReads)
        offer(name, 'reads the database before it takes a ticket', (s) => {
          s.processes[p].ticketVersion = s.version
          s.processes[p].ticket = 1
        })
      else
        offer(name, 'reads the database', (s) => {
          beginRead(s, rules, p, position)
          endRead(s, p)
        })
    }
  }
  if (process.ticket === 1 && rules.ticketBeforeRead) offer(name, 'reads the database', (s) => endRead(s, p))
  if (process.ticket === 1 && !rules.ticketBeforeRead)
    for (const position of positionsOf(state, rules, world, p))
      offer(name, `takes a ticket with position ${position}`, (s) => {
        const { ticketVersion } = s.processes[p]
        beginRead(s, rules, p, position)
        s.processes[p].ticketVersion = ticketVersion
        s.processes[p].ticket = 2
      })
  if (process.ticket === 2) {
    const ends = !process.isStalled ? anyFate : state.late === 0 ? fates : fates.slice(0, 2)
    for (const fate of ends) {
      const suffix = ends === anyFate ? '' : `, which ${fate}`
      offer(name, `fills the entry${suffix}`, (s) => fill(s, rules, world, p, fate))
    }
  }
}

/**
 * The positions in the feed that a process may have: the checker has the one that it has read up to, the
 * other one any, because it may have read at any time.
 */
function positionsOf(state: State, rules: Rules, world: World, p: Which): readonly number[] {
  if (p === checker) return [state.processes[p].position]
  // Before it notices a loss, it may have a position that is lost.
  if (state.history !== state.processes[p].history)
    return upTo[Math.max(lastStep(state), ...state.writers.map((w) => (w.isLost ? w.position : 0)))] ?? []
  return upTo[Math.max(...positionsSeen(state, rules, world))] ?? []
}

const upTo = [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]] as const

function endRead(s: State, p: Which): void {
  s.processes[p].ticketVersion = s.version
  s.processes[p].ticket = 2
}

/** RedisSessionCache.beginRead */
function beginRead(s: State, rules: Rules, p: Which, position: number): void {
  const process = s.processes[p]
  endTicket(s, p)
  process.ticket = 1
  process.ticketRun = process.link
  process.ticketPosition = position
  process.ticketHistory = process.history
  passSteps(s, rules, position)
}

function offerFeed(state: State, rules: Rules, world: World, offer: Offer<State>): void {
  const process = state.processes[checker]
  if (world.staleFeeds && process.isFresh)
    offer(name, 'has not read the feed for one second', (s) => {
      s.processes[checker].isFresh = false
    })
  if (process.isReading) {
    offer(name, 'ends its read of the feed', (s) => endFeedRead(s, rules))
    offer(name, 'gives up its read of the feed', (s) => giveUpFeedRead(s))
    return
  }
  for (const position of positionsSeen(state, rules, world)) {
    const suffix = position === lastStep(state) ? '' : `, and stays at ${position}`
    if (world.slowFeeds)
      offer(name, `starts to read the feed${suffix}`, (s) => startFeedRead(s, rules, position))
    else
      offer(name, `reads the feed${suffix}`, (s) => {
        startFeedRead(s, rules, position)
        endFeedRead(s, rules)
      })
  }
}

/** Finds the account's rows from its position on. */
function startFeedRead(s: State, rules: Rules, position: number): void {
  const process = s.processes[checker]
  const isNew = rules.noticesLoss && s.history !== process.history
  const from = isNew ? 0 : process.position
  const found = s.writers.map((w) => (isCommitted(w) && w.position >= from ? w.position : 0))
  process.isReading = true
  process.seenLoss = s.history
  process.seenHistory = rules.noticesLoss ? s.history : 0
  for (const writer of s.writers) if (isCommitted(writer) && writer.read === 0) writer.read = 1
  process.seenChangedAt = Math.max(isNew ? 0 : process.changedAt, ...found)
  process.seenPosition = position
  passSteps(s, rules, position)
}

/**
 * Feed.#settle: the positions that a read may result in. The position is the greatest step that was visible
 * some time before; a change that is not committed by then, and has no greater step, is late.
 */
function positionsSeen(s: State, rules: Rules, world: World): ReadonlySet<number> {
  const last = lastStep(s)
  const open = s.writers.map((w) => (isOpen(w) && !w.isLate ? w.position - 1 : 3))
  const isPassed = !rules.waitsForOpen || world.lateCommits
  const known = s.processes[checker]
  const position = rules.noticesLoss && known.history !== s.history ? 0 : known.position
  return new Set([
    Math.max(position, Math.min(last, ...open)),
    ...(isPassed ? [Math.max(position, last)] : []),
  ])
}

/** Whether a writer has taken its step, and has not committed. */
function isOpen({ phase: at, position }: WriterState): boolean {
  return position > 0 && at >= phase.locked && at <= phase.written
}

/**
 * A change that is not committed when the position passes its step is late, as its writer's clock will show.
 */
function passSteps(s: State, rules: Rules, position: number): void {
  if (!rules.waitsForOpen) return
  for (const writer of s.writers) if (isOpen(writer) && writer.position <= position) writer.isLate = true
}

function endFeedRead(s: State, rules: Rules): void {
  const process = s.processes[checker]
  const { seenPosition, seenChangedAt, changedAt } = process
  for (const writer of s.writers) {
    const isMissed = isCommitted(writer) && writer.read === 0
    if (isMissed && !rules.freshFromBeginning) writer.outlasted |= 1 << checker
    if (writer.read === 1) writer.read = 2
  }
  const isOther = process.seenHistory !== process.history
  process.history = process.seenHistory
  process.hasReadLoss = process.seenLoss
  if ((isOther || seenChangedAt > changedAt) && rules.feedForgets) forget(process)
  process.position = seenPosition
  process.changedAt = seenChangedAt
  process.isFresh = true
  giveUpFeedRead(s)
}

function giveUpFeedRead(s: State): void {
  const process = s.processes[checker]
  for (const writer of s.writers) if (writer.read === 1) writer.read = 0
  process.isReading = false
  process.seenHistory = 0
  process.seenLoss = 0
  process.seenPosition = 0
  process.seenChangedAt = 0
}
