// Redis, the connections to it, and the commands of redis.ts and redis-client.ts, each of which is atomic.

import { exists, isBroken, isCommitted, loseCommit } from './database.ts'
import type { Rules, World } from './rules.ts'
import type { Offer } from './search.ts'
import {
  both,
  checker,
  entryOf,
  historyIn,
  inboxes,
  isEntry,
  isMark,
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

/** SET, or expiry: Redis sends an invalidation to each connection that has read the key. */
function setCell(state: State, run: number, cell: number): void {
  state.cells[run === 2 ? 1 : 0] = cell
  state.writtenAfter[run === 2 ? 1 : 0] = cell === nothing ? 0 : committedNow(state)
  for (const p of both) {
    const process = state.processes[p]
    if (process.ticket !== 0)
      process.ticketSince = cell === nothing ? process.ticketSince : process.ticketSince | run
    if (process.link !== run || !process.isTracked) continue
    const inbox = withMessage[process.inbox] ?? -1
    if (inbox < 0) throw new Error(`the model has no inbox ${inboxes[process.inbox]}I`)
    process.inbox = inbox
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

/** RedisSessionCache.#parse: an entry of another history counts as absent. */
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
  process.isStalled = false
  process.isTracked = false
  process.inbox = 0
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

/** The Redis process that does a command of this process; 0: none, and the connection is closed. */
export function runFor(state: State, rules: Rules, p: Which): number {
  const process = state.processes[p]
  if (process.isStalled || isBroken(state, p)) drop(state, rules, p)
  return process.link
}

export const lateKinds = { none: 0, mark: 1, settle: 2, fill: 3 } as const

/**
 * What Redis does with a command on a stalled connection, which its sender gives up after 500 ms: it never
 * gets it, does it, or does it late.
 */
export type Fate = 'is lost' | 'is done without a reply' | 'is late'
export const fates: readonly Fate[] = ['is lost', 'is done without a reply', 'is late']

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

/** What Redis and the connections do without a command. */
export function offerRedisSteps(state: State, rules: Rules, world: World, offer: Offer<State>): void {
  for (const run of [1, 2]) if ((state.up & run) > 0) offerExpiry(state, rules, run, offer)
  if (state.late !== lateKinds.none) {
    if ((state.up & state.lateRun) > 0)
      offer('Redis', 'does the late command', (s) => {
        s.isMixed = true
        doLate(s, rules)
      })
    else offer('Redis', 'never gets the late command', (s) => setLate(s, lateKinds.none, 0, 0))
  }
  if (state.up === 0)
    offer('Redis', 'starts as another process', (s) => {
      s.up = 2
      // A key without the run id finds the entry in the old data.
      if (!rules.runInKeys && world.watched === 'A') s.cells[1] = entryOf(0, 0, 0)
    })
  for (const p of both) {
    const { link, isStalled } = state.processes[p]
    const name = `P${p}`
    if (isStalled || isBroken(state, p)) offer(name, 'closes its connection', (s) => drop(s, rules, p))
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
  // An entry expires after 600 s.
  if (isEntry(cell) && areKnown(state, before))
    offer('Redis', 'expires the entry', (s) => expire(s, rules, run))
  if (!isMark(cell)) return
  const w: Which = cell === markOf(1) ? 1 : 0
  if (mayMarkRunOut(state, rules, w, before)) offer('Redis', 'expires the mark', (s) => expire(s, rules, run))
}

/**
 * A mark expires after 60 s, and after 15 s if a settle has set it. By then its transaction has ended (after
 * 10 s, and `confirm` allows no commit after 30 s), and every process has read its change in the feed, or
 * trusts no entry (after 1 s).
 */
function mayMarkRunOut(state: State, rules: Rules, w: Which, before: number): boolean {
  const writer = state.writers[w]
  if (writer.phase < phase.committed && rules.marksOutliveWriters) return false
  return areKnown(state, isCommitted(writer) ? before | (1 << w) : before)
}

/** Whether the checker has read the feed since these writers committed, or trusts no entry. */
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
 * By now a fill is more than 10 s late if its read started before the value was written, or before the commit
 * of the mark's writer.
 */
function expire(state: State, rules: Rules, run: number): void {
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
 * The version that was committed under a mark. The commit is at most 30 s after the mark, and a fill of an
 * older read at most 10 s after the commit; the mark expires after 60 s. Without the lock, other writers
 * commit under the mark as well.
 */
function versionUnder({ writers, version }: State, rules: Rules, mark: number): number {
  const marker = writers[mark === markOf(1) ? 1 : 0]
  if (!rules.locksFirst) return version
  return isCommitted(marker) ? marker.version : 0
}

/** After its answer, a writer resets what no rule reads any more, so that such states are equal. */
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

/** RedisSessionCache.fill, after a read of the database. */
export function fill(state: State, rules: Rules, world: World, p: Which, fate: Fate): void {
  const process = state.processes[p]
  const { ticketRun, ticketVersion, ticketPosition, ticketHistory } = process
  const isOtherHistory = ticketHistory !== process.history
  endTicket(state, p)
  if (!exists(state, world, ticketVersion) || isOtherHistory) return
  if (process.link === 0 || (process.link !== ticketRun && rules.fillsSameRun)) return
  send(state, rules, p, fate, lateKinds.fill, entryOf(ticketVersion, ticketPosition, ticketHistory))
}

/** Sends a command. True if the sender gets the reply. */
export function send(
  state: State,
  rules: Rules,
  p: Which,
  fate: Fate,
  kind: number,
  argument: number,
): boolean {
  const { isStalled, link } = state.processes[p]
  const run = runFor(state, rules, p)
  if (isStalled && fate === 'is lost') return false
  if (isStalled && fate === 'is late') {
    setLate(state, kind, argument, link)
    return false
  }
  const doneIn = isStalled ? link : run
  if (doneIn === 0 || (state.up & doneIn) === 0) return false
  const pending: [number, number, number] = [state.late, state.lateWith, state.lateRun]
  setLate(state, kind, argument, doneIn)
  doLate(state, rules)
  setLate(state, ...pending)
  return !isStalled
}

function offerFaults(state: State, rules: Rules, world: World, offer: Offer<State>): void {
  const fails = (actor: string, verb: string, change: (s: State) => void) =>
    offer(actor, verb, (s) => {
      s.faultsLeft--
      change(s)
    })
  if (world.redisCrashes && state.up === 1)
    fails('Redis', 'crashes', (s) => {
      s.up = 0
      setCell(s, 1, nothing)
      // Nothing that was read for this process can be filled any more.
      for (const p of both) if (rules.fillsSameRun) endTicket(s, p)
    })
  if (world.redisSplits && state.up === 1)
    fails('P1', 'connects to another Redis process', (s) => {
      s.up = 3
      s.isMixed = true
      drop(s, rules, 1)
      s.processes[1].link = 2
    })
  if (world.databaseLoses && state.version > 0 && state.history === 0)
    fails('the database', 'loses its last commit', (s) => loseCommit(s))
  if (world.redisForgets && state.up > 0)
    fails('Redis', 'loses its data', (s) => {
      s.isMixed = true
      for (const run of [1, 2]) if ((s.up & run) > 0) setCell(s, run, nothing)
    })
  for (const p of both) {
    const { link, isStalled } = state.processes[p]
    if (link === 0 || isStalled) continue
    if (world.connectionsBreak) fails(`P${p}`, 'loses its connection', (s) => drop(s, rules, p))
    if (world.connectionsStall)
      fails(`P${p}`, 'has a stalled connection', (s) => {
        s.processes[p].isStalled = true
      })
  }
}
