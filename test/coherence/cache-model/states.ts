// One state of the model, and its packed form of a few 32-bit words.
import type { World } from './rules.ts'

export type Which = 0 | 1
export const both: readonly Which[] = [0, 1]
/**
 * The process whose checks are watched. One is enough: a check with entries changes only the memory and the
 * messages of its own process. Both processes have writers and fills, so P1 checks beside its own writers and
 * beside those of the other process.
 */
export const checker: Which = 1

/** The progress of a writer. From one to the next it takes one statement or command. account-writer.ts */
export const phase = {
  start: 0,
  /** Without `decidesUnderLock`: a sign-in has read the live sessions before its lock. */
  looked: 1,
  locked: 2,
  marked: 3,
  /** Has its position in the feed, and has confirmed. */
  written: 4,
  committed: 5,
  /** Could not settle, and waits until every process has read the feed or trusts no entry. */
  waiting: 6,
  /** A sign-in that has not filled its new entry yet. */
  filling: 7,
  answered: 8,
  diedBefore: 9,
  diedAfter: 10,
} as const

export interface WriterState {
  phase: number
  /** Whether it ends or changes the watched session. */
  touches: boolean
  /** The Redis process that has its mark; 0: none. */
  run: number
  /** The Redis process of the ticket of a sign-in. */
  ticketRun: number
  /** Its step in the feed, and the version of the database that it created; 0: not yet. */
  position: number
  /** The feed's position may have passed its step before it committed. */
  isLate: boolean
  /** Whether the checker has read the feed since its commit: 0 no, 1 has started, 2 has ended. */
  read: number
  /** The database has lost its commit. */
  isLost: boolean
  /** The history that its process knew when it marked. */
  history: number
  version: number
  /** The sessions that it ends, one bit each. */
  ends: number
  /** The processes that stay fresh, wrongly, for longer than its wait, one bit each. */
  outlasted: number
}

export interface ProcessState {
  /** The Redis process that its connection leads to, also after a crash of that; 0: no connection. */
  link: number
  isStalled: boolean
  /**
   * What it knows from the feed: all changes up to `position`, and the account's last one. Only the freshness
   * of the checker matters.
   */
  isFresh: boolean
  position: number
  changedAt: number
  /** The history of the database that it knows. */
  history: number
  /** A read of the feed that is under way, and what it has found. */
  isReading: boolean
  seenHistory: number
  /** Whether a read of the feed has started, and has ended, since the database lost a commit. */
  seenLoss: number
  hasReadLoss: number
  seenPosition: number
  seenChangedAt: number
  /** Redis tracks the key for this connection: a change of the key sends an invalidation message. */
  isTracked: boolean
  inbox: number
  isAsking: boolean
  getCell: number
  getIsCurrent: boolean
  /** The oldest version of the database with which the checks that wait for this GET may be answered. */
  getMust: number
  /** Its memory of the watched session; 0: empty. */
  remembered: number
  /** A read of the database: 0 none, 1 has its ticket, 2 is done and may fill the entry. */
  ticket: number
  ticketRun: number
  ticketPosition: number
  ticketHistory: number
  ticketVersion: number
  /** The Redis processes whose cell was written since the read started, one bit each. */
  ticketSince: number
}

export interface State {
  version: number
  /** The history of the database: 1 after it has lost a commit. */
  history: number
  /** The step of the other account's change; 0: none yet. */
  otherAccountAt: number
  /** The writer that holds the account's lock, plus one; 0: none. */
  lock: number
  /** The live sessions: 1 A, 2 the session of the first writer, 4 that of the second. */
  live: number
  readonly writers: [WriterState, WriterState]
  readonly processes: [ProcessState, ProcessState]
  /** The Redis processes that run, one bit each, and the value of the watched session's key in each. */
  up: number
  readonly cells: [number, number]
  /** The writers that had committed when the value was written, one bit each. */
  readonly writtenAfter: [number, number]
  /** There were two Redis processes at a time, or Redis has lost data. */
  isMixed: boolean
  faultsLeft: number
  /** A command of a closed connection that Redis has still to do: its kind, its argument, its process. */
  late: number
  lateWith: number
  lateRun: number
  /** The number of a fault in `faults`; 0: none. */
  fault: number
}

/**
 * The value of a key, or of a process's memory: nothing, a mark, "read the database", or an entry with its
 * version and position.
 */
export const nothing = 0
export const readsDatabase = 3
export const markOf = (w: Which): number => 1 + w
export const isMark = (cell: number): boolean => cell === 1 || cell === 2
export const isEntry = (cell: number): boolean => cell >= 4
export const entryOf = (version: number, position: number, history: number): number =>
  4 + 12 * history + 4 * version + position
export const historyIn = (cell: number): number => (cell >= 16 ? 1 : 0)
export const versionIn = (cell: number): number => ((cell - 4) % 12) >> 2
export const positionIn = (cell: number): number => (cell - 4) & 3

/** What Redis has sent to a process, in order: invalidation messages `I`, and the reply `R` to a GET. */
export const inboxes = ['', 'I', 'R', 'IR', 'RI', 'IRI'] as const
const inboxNumbers = new Map<string, number>(inboxes.map((inbox, i) => [inbox, i]))
const numberOf = (inbox: string): number => {
  const found = inboxNumbers.get(inbox)
  if (found === undefined) throw new Error(`the model has no inbox ${inbox}`)
  return found
}
/** By the number of an inbox: the inbox with one item more, or without the first one. */
export const withMessage = inboxes.map((inbox) => inboxNumbers.get(`${inbox}I`) ?? -1)
export const withReply = inboxes.map((inbox) => inboxNumbers.get(`${inbox}R`) ?? -1)
export const withoutFirst = inboxes.map((inbox) => numberOf(inbox.slice(1)))

export function newWriter(): WriterState {
  const numbers = {
    run: 0,
    ticketRun: 0,
    position: 0,
    version: 0,
    ends: 0,
    outlasted: 0,
    read: 0,
    history: 0,
  }
  return { phase: phase.start, touches: false, isLate: false, isLost: false, ...numbers }
}

function newProcess(isFresh: boolean): ProcessState {
  const feed = {
    isFresh,
    position: 0,
    changedAt: 0,
    history: 0,
    isReading: false,
    seenHistory: 0,
    seenLoss: 0,
    hasReadLoss: 0,
    seenPosition: 0,
    seenChangedAt: 0,
  }
  const get = { isAsking: false, getCell: nothing, getIsCurrent: false, getMust: 0, remembered: nothing }
  const ticket = {
    ticket: 0,
    ticketRun: 0,
    ticketPosition: 0,
    ticketHistory: 0,
    ticketVersion: 0,
    ticketSince: 0,
  }
  return { link: 1, isStalled: false, ...feed, isTracked: false, inbox: 0, ...get, ...ticket }
}

/**
 * Both processes are connected to the first Redis process, which has an entry of A; their memory is empty.
 */
export function startOf(world: World): State {
  return {
    version: 0,
    history: 0,
    otherAccountAt: 0,
    lock: 0,
    live: 1,
    writers: [newWriter(), newWriter()],
    processes: [newProcess(false), newProcess(true)],
    up: 1,
    cells: [world.watched === 'A' ? entryOf(0, 0, 0) : nothing, nothing],
    writtenAfter: [0, 0],
    isMixed: false,
    faultsLeft: world.faults ?? 0,
    late: 0,
    lateWith: 0,
    lateRun: 0,
    fault: 0,
  }
}

export const wordsEach = 7

export function pack(s: State, into: Int32Array, at: number): void {
  const [w0, w1] = s.writers
  const [p0, p1] = s.processes
  into[at] =
    s.version |
    (s.otherAccountAt << 2) |
    (s.lock << 4) |
    (s.live << 6) |
    (s.up << 9) |
    (s.cells[0] << 11) |
    (s.cells[1] << 16) |
    (Number(s.isMixed) << 21) |
    (s.faultsLeft << 22) |
    (s.late << 24) |
    (s.lateWith << 26) |
    (s.history << 31)
  into[at + 1] =
    packWriter(w0) |
    (s.fault << 20) |
    (s.writtenAfter[0] << 22) |
    (s.writtenAfter[1] << 24) |
    (s.lateRun << 30)
  into[at + 2] = packWriter(w1)
  packProcess(p0, into, at + 3)
  packProcess(p1, into, at + 5)
}

export function unpack(from: Int32Array, at: number, s: State): void {
  const word = from[at] ?? 0
  s.version = word & 3
  s.otherAccountAt = (word >>> 2) & 3
  s.lock = (word >>> 4) & 3
  s.live = (word >>> 6) & 7
  s.up = (word >>> 9) & 3
  s.cells[0] = (word >>> 11) & 31
  s.cells[1] = (word >>> 16) & 31
  s.isMixed = ((word >>> 21) & 1) === 1
  s.faultsLeft = (word >>> 22) & 3
  s.late = (word >>> 24) & 3
  s.lateWith = (word >>> 26) & 31
  s.history = word >>> 31
  const first = from[at + 1] ?? 0
  s.fault = (first >>> 20) & 3
  s.writtenAfter[0] = (first >>> 22) & 3
  s.writtenAfter[1] = (first >>> 24) & 3
  s.lateRun = first >>> 30
  unpackWriter(first, s.writers[0])
  unpackWriter(from[at + 2] ?? 0, s.writers[1])
  unpackProcess(from[at + 3] ?? 0, from[at + 4] ?? 0, s.processes[0])
  unpackProcess(from[at + 5] ?? 0, from[at + 6] ?? 0, s.processes[1])
}

function packWriter(w: WriterState): number {
  return (
    w.phase |
    (Number(w.touches) << 4) |
    (w.run << 5) |
    (w.ticketRun << 7) |
    (w.position << 9) |
    (w.version << 11) |
    (w.ends << 13) |
    (w.outlasted << 16) |
    (Number(w.isLate) << 18) |
    (w.read << 26) |
    (Number(w.isLost) << 28) |
    (w.history << 29)
  )
}

function unpackWriter(word: number, w: WriterState): void {
  w.phase = word & 15
  w.touches = ((word >>> 4) & 1) === 1
  w.run = (word >>> 5) & 3
  w.ticketRun = (word >>> 7) & 3
  w.position = (word >>> 9) & 3
  w.version = (word >>> 11) & 3
  w.ends = (word >>> 13) & 7
  w.outlasted = (word >>> 16) & 3
  w.isLate = ((word >>> 18) & 1) === 1
  w.read = (word >>> 26) & 3
  w.isLost = ((word >>> 28) & 1) === 1
  w.history = (word >>> 29) & 1
}

function packProcess(p: ProcessState, into: Int32Array, at: number): void {
  into[at] =
    p.link |
    (Number(p.isStalled) << 2) |
    (Number(p.isFresh) << 3) |
    (p.position << 4) |
    (p.changedAt << 6) |
    (Number(p.isTracked) << 8) |
    (p.inbox << 9) |
    (Number(p.isAsking) << 12) |
    (p.getCell << 14) |
    (Number(p.getIsCurrent) << 19) |
    (p.getMust << 20) |
    (p.remembered << 22) |
    (p.history << 27)
  into[at + 1] =
    p.ticket |
    (p.ticketRun << 2) |
    (p.ticketPosition << 4) |
    (p.ticketVersion << 6) |
    (p.ticketSince << 8) |
    (Number(p.isReading) << 10) |
    (p.seenPosition << 11) |
    (p.seenChangedAt << 13) |
    (p.seenHistory << 15) |
    (p.ticketHistory << 16) |
    (p.seenLoss << 17) |
    (p.hasReadLoss << 18)
}

function unpackProcess(word: number, more: number, p: ProcessState): void {
  p.link = word & 3
  p.isStalled = ((word >>> 2) & 1) === 1
  p.isFresh = ((word >>> 3) & 1) === 1
  p.position = (word >>> 4) & 3
  p.changedAt = (word >>> 6) & 3
  p.isTracked = ((word >>> 8) & 1) === 1
  p.inbox = (word >>> 9) & 7
  p.isAsking = ((word >>> 12) & 1) === 1
  p.getCell = (word >>> 14) & 31
  p.getIsCurrent = ((word >>> 19) & 1) === 1
  p.getMust = (word >>> 20) & 3
  p.remembered = (word >>> 22) & 31
  p.history = (word >>> 27) & 1
  p.ticket = more & 3
  p.ticketRun = (more >>> 2) & 3
  p.ticketPosition = (more >>> 4) & 3
  p.ticketVersion = (more >>> 6) & 3
  p.ticketSince = (more >>> 8) & 3
  p.isReading = ((more >>> 10) & 1) === 1
  p.seenPosition = (more >>> 11) & 3
  p.seenChangedAt = (more >>> 13) & 3
  p.seenHistory = (more >>> 15) & 1
  p.ticketHistory = (more >>> 16) & 1
  p.seenLoss = (more >>> 17) & 1
  p.hasReadLoss = (more >>> 18) & 1
}
