// A server process that checks tokens: its client-side cache, and its reads of Redis, the database and the
// feed. sessions.ts, redis.ts, client-side-cache.ts, feed.ts, verified-tokens.ts.

import { faultOf, isBroken, isCommitted, isNewEnough, lastStep, mustSee } from './database.ts'
import { cellAt, endGet, endTicket, type Fate, fates, fill, isOfHistory, runFor } from './redis-steps.ts'
import type { Rules, World } from './rules.ts'
import type { Offer } from './search.ts'
import {
  both,
  checker,
  isEntry,
  lines,
  nothing,
  type ProcessState,
  phase,
  readsDatabase,
  type State,
  type Which,
  withAnswer,
  withoutFirst,
} from './states.ts'

const sure: readonly Fate[] = ['is lost']

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
    // SessionCache.dropStale: what is remembered goes with the first check, which then reads the database.
    if (process.remembered !== nothing || process.getIsCurrent)
      offer(name, 'checks and forgets, for its feed is not fresh', (s) => forget(s.processes[checker]))
  } else if (isEntry(process.remembered)) {
    const fault = checkByMemory(state, rules, world, checker)
    if (fault !== 0)
      offer(name, 'checks by what it remembers', (s) => {
        s.fault = fault
      })
  } else if (process.link !== 0 && process.remembered === nothing) {
    const must = mustSee(state, world, checker)
    if (process.isAsking && process.getIsCurrent && must > process.getMust)
      offer(name, 'checks by the GET that is under way', (s) => {
        s.processes[checker].getMust = must
      })
    if (!process.isAsking && !process.isSilent)
      offer(name, 'checks and asks Redis', (s) => askRedis(s, rules, world, checker))
  }
  if (process.isSilent || isBroken(state, checker)) return
  const line = lines[process.line] ?? ''
  if (line.startsWith('R')) offer(name, 'gets its answer', (s) => getAnswer(s, rules, world))
  if (line.startsWith('I'))
    offer(name, 'hears that the key changed', (s) => hear(s.processes[checker], rules))
  // What comes in one piece is looked at whole before what waits for the answer goes on.
  if (line.startsWith('RI'))
    offer(name, 'gets its answer and in the same piece hears that the key changed', (s) => {
      s.processes[checker].line = withoutFirst[s.processes[checker].line] ?? 0
      hear(s.processes[checker], rules)
      useAnswer(s, rules, world, checker)
    })
}

/** Also by a token that was verified recently: what it relies on is what is remembered. */
function checkByMemory(s: State, rules: Rules, world: World, p: Which): number {
  const { remembered } = s.processes[p]
  // A verified token does not ask for positions: what the feed tells has made the process forget.
  const isTrusted = !rules.positionsCount || !rules.feedForgets || isNewEnough(s, world, p, remembered)
  return isTrusted ? faultOf(s, world, remembered, mustSee(s, world, p)) : 0
}

function askRedis(s: State, rules: Rules, world: World, p: Which): void {
  const process = s.processes[p]
  const must = mustSee(s, world, p)
  const run = runFor(s, rules, p)
  if (run === 0) return
  process.isAsking = true
  process.getCell = cellAt(s, run)
  process.getIsCurrent = true
  process.getMust = must
  process.isTracked = true
  process.line = withAnswer[process.line] ?? 0
}

function getAnswer(s: State, rules: Rules, world: World): void {
  const process = s.processes[checker]
  process.line = withoutFirst[process.line] ?? 0
  useAnswer(s, rules, world, checker)
}

/** ClientSideCache.invalidate */
function hear(process: ProcessState, rules: Rules): void {
  process.line = withoutFirst[process.line] ?? 0
  if (!rules.messagesForget) return
  process.remembered = nothing
  if (rules.invalidatedIsNotKept) process.getIsCurrent = false
}

/** ClientSideCache.invalidate and clear, by the process itself. */
function forget(process: ProcessState): void {
  process.remembered = nothing
  process.getIsCurrent = false
}

/** What an awaited answer comes to, after whatever else had come with it. */
function useAnswer(s: State, rules: Rules, world: World, p: Which): void {
  const process = s.processes[p]
  const { getCell, getMust } = process
  // An answer of another history counts as a cache miss.
  const isUsed = isEntry(getCell) && isOfHistory(rules, getCell, process.history)
  if (process.getIsCurrent) process.remembered = isUsed ? getCell : readsDatabase
  if (isUsed && (!rules.positionsCount || isNewEnough(s, world, p, getCell)))
    s.fault = faultOf(s, world, getCell, getMust)
  endGet(s, p)
}

/**
 * Reads of the database are right by themselves; what matters is what they fill. A check may always come to
 * one, as `rotate` does.
 */
function offerReads({ state, rules, world, p, name }: At, offer: Offer<State>): void {
  const process = state.processes[p]
  if (process.ticket === 0 && process.link !== 0) {
    for (const position of positionsOf(state, rules, world, p)) {
      if (world.slowReads && rules.ticketBeforeRead)
        offer(name, 'begins to read the database', (s) => beginRead(s, rules, p, position))
      else if (world.slowReads)
        offer(name, 'reads the database before its ticket', (s) => {
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
      offer(name, `takes its ticket, at ${position}`, (s) => {
        const { ticketVersion } = s.processes[p]
        beginRead(s, rules, p, position)
        s.processes[p].ticketVersion = ticketVersion
        s.processes[p].ticket = 2
      })
  if (process.ticket === 2) {
    const ends = !process.isSilent ? sure : state.late === 0 ? fates : fates.slice(0, 2)
    for (const fate of ends) {
      const told = ends === sure ? '' : ` and that ${fate}`
      offer(name, `fills what it read${told}`, (s) => fill(s, rules, world, p, fate))
    }
  }
}

/**
 * Where in the feed a process may be: the checker is where it has read to, the other one anywhere, as it may
 * have read at any time.
 */
function positionsOf(state: State, rules: Rules, world: World, p: Which): readonly number[] {
  if (p === checker) return [state.processes[p].position]
  // Before it notices a loss, it may know a step that is lost.
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
  passBy(s, rules, position)
}

function offerFeed(state: State, rules: Rules, world: World, offer: Offer<State>): void {
  const process = state.processes[checker]
  if (world.staleFeeds && process.isFresh)
    offer(name, 'has not read the feed for a second', (s) => {
      s.processes[checker].isFresh = false
    })
  if (process.isReading) {
    offer(name, 'has read the feed', (s) => endReading(s, rules))
    offer(name, 'reads the feed for too long', (s) => stopReading(s))
    return
  }
  for (const position of positionsSeen(state, rules, world)) {
    const told = position === lastStep(state) ? '' : `, and stays at ${position}`
    if (world.slowFeeds)
      offer(name, `begins to read the feed${told}`, (s) => beginReading(s, rules, position))
    else
      offer(name, `reads the feed${told}`, (s) => {
        beginReading(s, rules, position)
        endReading(s, rules)
      })
  }
}

/** Which rows of the account it finds from its position on. */
function beginReading(s: State, rules: Rules, position: number): void {
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
  passBy(s, rules, position)
}

/**
 * Feed.#settle: where the position may be after a reading. It is the greatest step that was known some time
 * before; a change that is not committed by then, and has no greater step, is late.
 */
function positionsSeen(s: State, rules: Rules, world: World): ReadonlySet<number> {
  const last = lastStep(s)
  const open = s.writers.map((w) => (w.phase === phase.written && !w.isLate ? w.position - 1 : 3))
  const isPassed = !rules.waitsForOpen || world.lateCommits
  const known = s.processes[checker]
  const position = rules.noticesLoss && known.history !== s.history ? 0 : known.position
  return new Set([
    Math.max(position, Math.min(last, ...open)),
    ...(isPassed ? [Math.max(position, last)] : []),
  ])
}

/** What is not committed when its step is passed is late: its writer will find out by its clock. */
function passBy(s: State, rules: Rules, position: number): void {
  if (!rules.waitsForOpen) return
  for (const writer of s.writers)
    if (writer.phase === phase.written && writer.position <= position) writer.isLate = true
}

function endReading(s: State, rules: Rules): void {
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
  stopReading(s)
}

function stopReading(s: State): void {
  const process = s.processes[checker]
  for (const writer of s.writers) if (writer.read === 1) writer.read = 0
  process.isReading = false
  process.seenHistory = 0
  process.seenLoss = 0
  process.seenPosition = 0
  process.seenChangedAt = 0
}
