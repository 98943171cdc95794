// What the model knows at one moment, and how that is packed into a few words.
import type { World } from './rules.ts'

export type Which = 0 | 1
export const both: readonly Which[] = [0, 1]
/**
 * The process whose checks are watched. Nothing is lost by watching one: a check by entries changes what its
 * process remembers and is told, and nothing that another process sees. Writers and fills are on both, so P1
 * checks beside writers of its own and of the other process.
 */
export const checker: Which = 1

/** Where a writer is. Between two of them lies one statement or command, as in sessions.ts. */
export const phase = {
  start: 0,
  /** A sign-in that has read the live sessions too early. */
  looked: 1,
  locked: 2,
  marked: 3,
  /** Has its position in the feed, and has confirmed. */
  written: 4,
  committed: 5,
  /** Could not settle: waits until every process has read the feed or trusts nothing. */
  waiting: 6,
  /** A sign-in that has not filled its new entry yet. */
  filling: 7,
  answered: 8,
  diedBefore: 9,
  diedAfter: 10,
} as const

export interface WriterState {
  phase: number
  /** Whether the watched session is one of those that it ends or changes. */
  touches: boolean
  /** The Redis process where its mark stands; 0: nowhere. */
  run: number
  /** The Redis process of a sign-in's ticket. */
  ticketRun: number
  /** Its step in the feed, and the version of the database that it made; 0: not yet. */
  position: number
  /** The feed's position may have passed its step before its commit. */
  isLate: boolean
  /** A reading of the feed by the checker that began after its commit: 0 none, 1 under way, 2 done. */
  read: number
  /** The database has lost its commit. */
  isLost: boolean
  /** The history that its process knew when it marked. */
  history: number
  version: number
  /** The sessions that it ends, a bit each. */
  ends: number
  /** The processes whose (wrong) freshness outlasts its wait, a bit each. */
  outlasted: number
}

export interface ProcessState {
  /** The Redis process that it is connected to, as it thinks; 0: none. */
  link: number
  isSilent: boolean
  /**
   * What it knows of the feed: everything up to `position`, and the account's last change. Only the checker's
   * freshness is watched.
   */
  isFresh: boolean
  position: number
  changedAt: number
  /** The history of the database that it knows. */
  history: number
  /** What a reading of the feed that is under way has seen. */
  isReading: boolean
  seenHistory: number
  /** Whether a reading of the feed has begun, and was done, after the database had lost a commit. */
  seenLoss: number
  hasReadLoss: number
  seenPosition: number
  seenChangedAt: number
  /** Redis tells this connection when the key changes. */
  isTracked: boolean
  line: number
  isAsking: boolean
  getCell: number
  getIsCurrent: boolean
  /** The oldest version of the database that the checks which wait for this GET may be answered with. */
  getMust: number
  /** What it remembers: 0 nothing. */
  remembered: number
  /** A read of the database: 0 none, 1 has its ticket, 2 has been read and may be filled. */
  ticket: number
  ticketRun: number
  ticketPosition: number
  ticketHistory: number
  ticketVersion: number
  /** The Redis processes whose cell has been written since it began, a bit each. */
  ticketSince: number
}

export interface State {
  version: number
  /** The history of the database: 1 after it has lost a commit. */
  history: number
  /** The other account's step; 0: none yet. */
  strangerAt: number
  /** The writer that holds the account's lock, plus one; 0: none. */
  lock: number
  /** The sessions that are live: 1 A, 2 what the first writer made, 4 what the second one made. */
  live: number
  readonly writers: [WriterState, WriterState]
  readonly processes: [ProcessState, ProcessState]
  /** The Redis processes that are up, a bit each, and what each has under the watched session's key. */
  up: number
  readonly cells: [number, number]
  /** The writers that had committed when it was written, a bit each. */
  readonly writtenAfter: [number, number]
  /** Servers have had two Redis processes before them, or Redis has lost what it held. */
  isMixed: boolean
  faultsLeft: number
  /** A command of a connection that was given up, still to be done: what, with what, where. */
  late: number
  lateWith: number
  lateRun: number
  /** What is wrong; 0: nothing. */
  fault: number
}

/**
 * What stands under a key or is remembered: nothing, a mark, "read the database", or an entry with its
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

/**
 * What is on the line from Redis to a process, in order: messages `I` that the key changed, and the answer
 * `R` to a GET.
 */
export const lines = ['', 'I', 'R', 'IR', 'RI', 'IRI'] as const
const lineNumbers = new Map<string, number>(lines.map((line, i) => [line, i]))
const numberOf = (line: string): number => {
  const found = lineNumbers.get(line)
  if (found === undefined) throw new Error(`the model has no line ${line}`)
  return found
}
/** By the number of a line: the line with one more, or with the first taken off. */
export const withMessage = lines.map((line) => lineNumbers.get(`${line}I`) ?? -1)
export const withAnswer = lines.map((line) => lineNumbers.get(`${line}R`) ?? -1)
export const withoutFirst = lines.map((line) => numberOf(line.slice(1)))

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
  return { link: 1, isSilent: false, ...feed, isTracked: false, line: 0, ...get, ...ticket }
}

/** Both processes are connected to the first Redis process, which has an entry of A, and remember nothing. */
export function startOf(world: World): State {
  return {
    version: 0,
    history: 0,
    strangerAt: 0,
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
    (s.strangerAt << 2) |
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
  s.strangerAt = (word >>> 2) & 3
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
    (Number(p.isSilent) << 2) |
    (Number(p.isFresh) << 3) |
    (p.position << 4) |
    (p.changedAt << 6) |
    (Number(p.isTracked) << 8) |
    (p.line << 9) |
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
  p.isSilent = ((word >>> 2) & 1) === 1
  p.isFresh = ((word >>> 3) & 1) === 1
  p.position = (word >>> 4) & 3
  p.changedAt = (word >>> 6) & 3
  p.isTracked = ((word >>> 8) & 1) === 1
  p.line = (word >>> 9) & 7
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
