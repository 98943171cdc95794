// A server process that checks tokens: its client-side cache, and its reads of Redis, the database and the
// feed. sessions.ts, redis.ts, client-side-cache.ts, feed.ts, verified-tokens.ts.

import { faultOf, isBroken, isCommitted, isNewEnough, mustSee } from './database.ts'
import { cellAt, endGet, endTicket, type Fate, fates, fill, runFor } from './redis-steps.ts'
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
  if (process.getIsCurrent) process.remembered = isEntry(getCell) ? getCell : readsDatabase
  if (isEntry(getCell) && (!rules.positionsCount || isNewEnough(s, world, p, getCell)))
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
    for (const position of positionsOf(state, rules, p)) {
      if (world.slowReads && rules.ticketBeforeRead)
        offer(name, 'begins to read the database', (s) => beginRead(s, p, position))
      else if (world.slowReads)
        offer(name, 'reads the database before its ticket', (s) => {
          s.processes[p].ticketVersion = s.version
          s.processes[p].ticket = 1
        })
      else
        offer(name, 'reads the database', (s) => {
          beginRead(s, p, position)
          endRead(s, p)
        })
    }
  }
  if (process.ticket === 1 && rules.ticketBeforeRead) offer(name, 'reads the database', (s) => endRead(s, p))
  if (process.ticket === 1 && !rules.ticketBeforeRead)
    for (const position of positionsOf(state, rules, p))
      offer(name, `takes its ticket, at ${position}`, (s) => {
        const { ticketVersion } = s.processes[p]
        beginRead(s, p, position)
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
function positionsOf(state: State, rules: Rules, p: Which): readonly number[] {
  if (p === checker) return [state.processes[p].position]
  return upTo[positionSeen(state, rules)] ?? []
}

const upTo = [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]] as const

function endRead(s: State, p: Which): void {
  s.processes[p].ticketVersion = s.version
  s.processes[p].ticket = 2
}

/** RedisSessionCache.beginRead */
function beginRead(s: State, p: Which, position: number): void {
  const process = s.processes[p]
  endTicket(s, p)
  process.ticket = 1
  process.ticketRun = process.link
  process.ticketPosition = position
}

function offerFeed(state: State, rules: Rules, world: World, offer: Offer<State>): void {
  const process = state.processes[checker]
  if (world.staleFeeds && process.isFresh)
    offer(name, 'has not read the feed for a second', (s) => {
      s.processes[checker].isFresh = false
    })
  if (process.isReading) {
    offer(name, 'has read the feed', (s) => endReading(s, rules))
    offer(name, 'reads the feed for too long', (s) => stopReading(s.processes[checker]))
  } else if (world.slowFeeds) offer(name, 'begins to read the feed', (s) => beginReading(s, rules))
  else
    offer(name, 'reads the feed', (s) => {
      beginReading(s, rules)
      endReading(s, rules)
    })
}

/** Which rows of the account are there. */
function beginReading(s: State, rules: Rules): void {
  const process = s.processes[checker]
  process.isReading = true
  process.seenChangedAt = lastChange(s)
  process.seenPosition = positionSeen(s, rules)
}

function lastChange(s: State): number {
  return Math.max(...s.writers.map((writer) => (isCommitted(writer) ? writer.position : 0)))
}

/** Feed.#advance: a position whose transaction was rolled back is waited for, for 60 s, and given up. */
function positionSeen(s: State, rules: Rules): number {
  if (!rules.waitsForGaps) return Math.max(lastChange(s), s.strangerAt)
  return Math.min(s.lastPosition, ...s.writers.map((w) => (w.phase === phase.written ? w.position - 1 : 3)))
}

function endReading(s: State, rules: Rules): void {
  const process = s.processes[checker]
  const { seenPosition, seenChangedAt, changedAt } = process
  for (const writer of s.writers) {
    const isMissed = isCommitted(writer) && writer.position > seenChangedAt
    if (isMissed && !rules.freshFromBeginning) writer.outlasted |= 1 << checker
  }
  if (seenChangedAt > changedAt && rules.feedForgets) forget(process)
  process.position = seenPosition
  process.changedAt = seenChangedAt
  process.isFresh = true
  stopReading(process)
}

function stopReading(process: ProcessState): void {
  process.isReading = false
  process.seenPosition = 0
  process.seenChangedAt = 0
}
