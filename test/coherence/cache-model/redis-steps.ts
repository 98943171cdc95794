// Redis, the lines to it, and the commands of redis.ts and redis-client.ts, each done whole or not at all.

import { exists, isBroken, isCommitted, loseCommit } from './database.ts'
import type { Rules, World } from './rules.ts'
import type { Offer } from './search.ts'
import {
  both,
  checker,
  entryOf,
  historyIn,
  isEntry,
  isMark,
  lines,
  markOf,
  nothing,
  phase,
  positionIn,
  type State,
  type Which,
  type WriterState,
  withMessage,
} from './states.ts'

export const cellAt = (state: State, run: number): number => state.cells[run === 2 ? 1 : 0]

function committedNow({ writers: [w0, w1] }: State): number {
  return Number(isCommitted(w0)) | (Number(isCommitted(w1)) << 1)
}

/** SET, also by expiry: every connection that has read the key is told. */
function setCell(state: State, run: number, cell: number): void {
  state.cells[run === 2 ? 1 : 0] = cell
  state.writtenAfter[run === 2 ? 1 : 0] = cell === nothing ? 0 : committedNow(state)
  for (const p of both) {
    const process = state.processes[p]
    if (process.ticket !== 0)
      process.ticketSince = cell === nothing ? process.ticketSince : process.ticketSince | run
    if (process.link !== run || !process.isTracked) continue
    const line = withMessage[process.line] ?? -1
    if (line < 0) throw new Error(`the model has no line ${lines[process.line]}I`)
    process.line = line
    process.isTracked = false
  }
}

/** settleScript */
function settleScript(state: State, rules: Rules, run: number, w: Which): void {
  const { version, position, history } = state.writers[w]
  const now = cellAt(state, run)
  if (!rules.settleCompares || now === markOf(w)) setCell(state, run, entryOf(version, position, history))
  else if (!isMark(now) && rules.settleMarksAgain) setCell(state, run, markOf(w))
}

/** RedisSessionCache.#parse: an entry of another history counts as nothing. */
export function isOfHistory(rules: Rules, entry: number, history: number): boolean {
  return !rules.historyInEntries || historyIn(entry) === history
}

/** fillScript */
function fillScript(state: State, rules: Rules, run: number, entry: number): void {
  const now = cellAt(state, run)
  if (isMark(now) && rules.markForbidsFill) return
  if (isEntry(now) && rules.fillsOnlyOlder && isOfHistory(rules, now, historyIn(entry))) {
    const isTie = positionIn(now) === positionIn(entry)
    if (isTie ? !rules.fillsOverTies : positionIn(now) > positionIn(entry)) return
  }
  setCell(state, run, entry)
}

/** RedisConnections.drop */
function drop(state: State, rules: Rules, p: Which): void {
  const process = state.processes[p]
  process.link = 0
  process.isSilent = false
  process.isTracked = false
  process.line = 0
  // A GET that is under way fails, and its check reads the database.
  if (process.isAsking) endGet(state, p)
  if (!rules.forgetsWithLink) return
  process.remembered = nothing
}

export function endGet(state: State, p: Which): void {
  const process = state.processes[p]
  process.isAsking = false
  process.getCell = nothing
  process.getIsCurrent = false
  process.getMust = 0
}

/** The run that a command of this process is done in; 0: nowhere, and the connection is given up. */
export function runFor(state: State, rules: Rules, p: Which): number {
  const process = state.processes[p]
  if (process.isSilent || isBroken(state, p)) drop(state, rules, p)
  return process.link
}

export const lateKinds = { none: 0, mark: 1, settle: 2, fill: 3 } as const

/**
 * What a silent line did with a command that its sender gave up after 500 ms: nothing, the command, or the
 * command later.
 */
export type Fate = 'is lost' | 'is done unseen' | 'is late'
export const fates: readonly Fate[] = ['is lost', 'is done unseen', 'is late']

function setLate(state: State, kind: number, argument: number, run: number): void {
  state.late = kind
  state.lateWith = argument
  state.lateRun = run
}

function doLate(state: State, rules: Rules): void {
  const { late, lateWith, lateRun } = state
  setLate(state, lateKinds.none, 0, 0)
  const w: Which = lateWith === 1 ? 1 : 0
  if (late === lateKinds.mark) setCell(state, lateRun, markOf(w))
  if (late === lateKinds.settle) settleScript(state, rules, lateRun, w)
  if (late === lateKinds.fill) fillScript(state, rules, lateRun, lateWith)
}

/** What Redis and the lines do by themselves. */
export function offerRedisSteps(state: State, rules: Rules, world: World, offer: Offer<State>): void {
  for (const run of [1, 2]) if ((state.up & run) > 0) offerExpiry(state, rules, run, offer)
  if (state.late !== lateKinds.none) {
    if ((state.up & state.lateRun) > 0)
      offer('Redis', 'does what came late', (s) => {
        s.isMixed = true
        doLate(s, rules)
      })
    else offer('Redis', 'never gets what was late', (s) => setLate(s, lateKinds.none, 0, 0))
  }
  if (state.up === 0)
    offer('Redis', 'comes back as another process', (s) => {
      s.up = 2
      // The old data has the old entry under the old key.
      if (!rules.runInKeys && world.watched === 'A') s.cells[1] = entryOf(0, 0, 0)
    })
  for (const p of both) {
    const { link, isSilent } = state.processes[p]
    const name = `P${p}`
    if (isSilent || isBroken(state, p)) offer(name, 'gives its line up', (s) => drop(s, rules, p))
    if (link === 0 && state.up > 0)
      for (const run of [1, 2])
        if ((state.up & run) > 0)
          offer(name, `connects to Redis ${run}`, (s) => {
            s.processes[p].link = run
          })
  }
  if (state.faultsLeft > 0) offerFaults(state, rules, world, offer)
}

function offerExpiry(state: State, rules: Rules, run: number, offer: Offer<State>): void {
  const cell = cellAt(state, run)
  const before = state.writtenAfter[run === 2 ? 1 : 0]
  // It lives for 600 s.
  if (isEntry(cell) && areKnown(state, before))
    offer('Redis', 'lets the entry run out', (s) => runOut(s, rules, run))
  if (!isMark(cell)) return
  const w: Which = cell === markOf(1) ? 1 : 0
  if (mayMarkRunOut(state, rules, w, before))
    offer('Redis', 'lets the mark run out', (s) => runOut(s, rules, run))
}

/**
 * A mark lives for 60 s, and for 15 s where a settle set it. Until then its transaction is over (10 s, and
 * `confirm` lets none commit after 30 s), and every process has read the feed up to it, or trusts nothing (1
 * s).
 */
function mayMarkRunOut(state: State, rules: Rules, w: Which, before: number): boolean {
  const writer = state.writers[w]
  if (writer.phase < phase.committed && rules.marksOutliveWriters) return false
  return areKnown(state, isCommitted(writer) ? before | (1 << w) : before)
}

/** Whether every process has read the feed since these writers committed, or trusts no entry. */
function areKnown(state: State, writers: number): boolean {
  const { isFresh, isReading } = state.processes[checker]
  for (const w of both) {
    const { read } = state.writers[w]
    if ((writers & (1 << w)) === 0 || read === 2) continue
    if (isFresh || (isReading && read === 0)) return false
  }
  return true
}

/**
 * Then a fill is more than 10 s late if its read began before this was written, or was before the commit of
 * its mark's writer.
 */
function runOut(state: State, rules: Rules, run: number): void {
  const cell = cellAt(state, run)
  setCell(state, run, nothing)
  if (!rules.fillsInTime) return
  for (const p of both) {
    const { ticket, ticketSince, ticketVersion } = state.processes[p]
    const isTooOld = ticket === 2 && isMark(cell) && ticketVersion < versionUnder(state, rules, cell)
    if ((ticketSince & run) > 0 || isTooOld) endTicket(state, p)
  }
  const [maker] = state.writers
  if (maker.phase === phase.filling) endWriter(maker)
}

/**
 * What was committed under a mark was so 30 s after the mark at the latest, so a fill of what was read before
 * came 10 s later at the latest, and the mark lives for 60 s. Without the lock, others commit under it as
 * well.
 */
function versionUnder({ writers, version }: State, rules: Rules, mark: number): number {
  const marker = writers[mark === markOf(1) ? 1 : 0]
  if (!rules.locksFirst) return version
  return isCommitted(marker) ? marker.version : 0
}

/** It has answered: what it needed for that is forgotten, so that like states are the same. */
export function endWriter(writer: WriterState): void {
  writer.phase = phase.answered
  writer.run = 0
  writer.ticketRun = 0
  writer.outlasted = 0
}

export function endTicket(state: State, p: Which): void {
  const process = state.processes[p]
  process.ticket = 0
  process.ticketRun = 0
  process.ticketPosition = 0
  process.ticketHistory = 0
  process.ticketVersion = 0
  process.ticketSince = 0
}

/** RedisSessionCache.fill, of a process that has read the database. */
export function fill(state: State, rules: Rules, world: World, p: Which, fate: Fate): void {
  const process = state.processes[p]
  const { ticketRun, ticketVersion, ticketPosition, ticketHistory } = process
  const isOver = ticketHistory !== process.history
  endTicket(state, p)
  if (!exists(state, world, ticketVersion) || isOver) return
  if (process.link === 0 || (process.link !== ticketRun && rules.fillsSameRun)) return
  send(state, rules, p, fate, lateKinds.fill, entryOf(ticketVersion, ticketPosition, ticketHistory))
}

/** Sends a command; true where its sender saw that it was done. */
export function send(
  state: State,
  rules: Rules,
  p: Which,
  fate: Fate,
  kind: number,
  argument: number,
): boolean {
  const { isSilent, link } = state.processes[p]
  const run = runFor(state, rules, p)
  if (isSilent && fate === 'is lost') return false
  if (isSilent && fate === 'is late') {
    setLate(state, kind, argument, link)
    return false
  }
  const doneIn = isSilent ? link : run
  if (doneIn === 0 || (state.up & doneIn) === 0) return false
  const pending: [number, number, number] = [state.late, state.lateWith, state.lateRun]
  setLate(state, kind, argument, doneIn)
  doLate(state, rules)
  setLate(state, ...pending)
  return !isSilent
}

function offerFaults(state: State, rules: Rules, world: World, offer: Offer<State>): void {
  const fails = (actor: string, verb: string, change: (s: State) => void) =>
    offer(actor, verb, (s) => {
      s.faultsLeft--
      change(s)
    })
  if (world.redisDies && state.up === 1)
    fails('Redis', 'dies', (s) => {
      s.up = 0
      setCell(s, 1, nothing)
      // What was read for it will never be filled.
      for (const p of both) if (rules.fillsSameRun) endTicket(s, p)
    })
  if (world.redisSplits && state.up === 1)
    fails('P1', 'is led to another Redis process', (s) => {
      s.up = 3
      s.isMixed = true
      drop(s, rules, 1)
      s.processes[1].link = 2
    })
  if (world.databaseLoses && state.version > 0 && state.history === 0)
    fails('the database', 'loses its last commit', (s) => loseCommit(s))
  if (world.redisForgets && state.up > 0)
    fails('Redis', 'loses what it holds', (s) => {
      s.isMixed = true
      for (const run of [1, 2]) if ((s.up & run) > 0) setCell(s, run, nothing)
    })
  for (const p of both) {
    const { link, isSilent } = state.processes[p]
    if (link === 0 || isSilent) continue
    if (world.linesBreak) fails(`P${p}`, 'loses its line', (s) => drop(s, rules, p))
    if (world.linesFallSilent)
      fails(`P${p}`, 'has a silent line', (s) => {
        s.processes[p].isSilent = true
      })
  }
}
