// The steps of a writer, as in account-writer.ts: lock, mark, write, confirm, commit, settle.

import { exists, nextStep, nextVersion, watchedBit } from './database.ts'
import { endWriter, type Fate, fates, lateKinds, runFor, send } from './redis-steps.ts'
import type { Operation, Rules, World } from './rules.ts'
import type { Offer } from './search.ts'
import {
  both,
  checker,
  entryOf,
  newWriter,
  phase,
  type State,
  type Which,
  type WriterState,
} from './states.ts'

/** The fate of a command on a connection that is not stalled, which `send` does not read. */
const anyFate: readonly Fate[] = ['is lost']

interface Working {
  readonly state: State
  readonly rules: Rules
  readonly world: World
  readonly w: Which
  readonly on: Which
  readonly does: Operation
}

export function offerWriterSteps(state: State, rules: Rules, world: World, offer: Offer<State>): void {
  for (const w of both) {
    const plan = world.writers[w]
    if (!plan) continue
    const working = { state, rules, world, w, ...plan }
    offerStepsOf(working, `${plan.does} on P${plan.on}`, offer)
    if (world.crashes) offerCrash(working, `${plan.does} on P${plan.on}`, offer)
  }
}

function offerStepsOf(working: Working, name: string, offer: Offer<State>): void {
  const { state, rules, world, w, on, does } = working
  const writer = state.writers[w]
  const isFree = state.lock === 0
  // The possible results of a command on a stalled connection; at most one command is late at a time.
  const ends = !state.processes[on].isStalled ? anyFate : state.late === 0 ? fates : fates.slice(0, 2)
  const suffix = (fate: Fate) => (ends === anyFate ? '' : `, which ${fate}`)
  switch (writer.phase) {
    case phase.start:
      if (does === 'end' && !exists(state, world, state.version)) return
      if (does === 'signIn' && !rules.decidesUnderLock)
        offer(name, 'reads the live sessions', (s) => readLive(s, working))
      else if (!rules.locksFirst)
        for (const fate of ends) offer(name, `marks${suffix(fate)}`, (s) => markEarly(s, working, fate))
      else if (isFree) offer(name, 'locks', (s) => lock(s, working))
      return
    case phase.looked:
      if (isFree) offer(name, 'locks', (s) => lock(s, working))
      return
    case phase.locked:
      for (const fate of ends) offer(name, `marks${suffix(fate)}`, (s) => mark(s, working, fate))
      return
    case phase.marked:
      if (!rules.locksFirst && state.lock !== w + 1) {
        if (isFree) offer(name, 'locks', (s) => holdLock(s, w))
        return
      }
      for (const fate of ends) offer(name, `confirms${suffix(fate)}`, (s) => confirm(s, working, fate))
      return
    case phase.written:
      if (rules.settlesAfterCommit || writer.version > 0) offer(name, 'commits', (s) => commit(s, working))
      else
        for (const fate of ends) offer(name, `settles${suffix(fate)}`, (s) => settleEarly(s, working, fate))
      return
    case phase.committed:
      if (writer.isLate && rules.announcesLate)
        offer(name, 'announces its change again', (s) => announce(s, working))
      else for (const fate of ends) offer(name, `settles${suffix(fate)}`, (s) => settle(s, working, fate))
      return
    case phase.waiting:
      if (hasWaited(state, rules, writer)) offer(name, 'answers after its wait', (s) => finish(s, working))
      return
    case phase.filling:
      for (const fate of ends) offer(name, `fills its entry${suffix(fate)}`, (s) => fillOwn(s, working, fate))
  }
}

function holdLock(s: State, w: Which): void {
  s.lock = w + 1
}

/** Sets which sessions it ends, and whether it touches the watched one. */
function readLive(s: State, { w, does, world, rules }: Working): void {
  const writer = s.writers[w]
  const bit = watchedBit(world)
  const own = w === 0 ? 2 : 4
  if (does === 'signIn') writer.ends = s.live & ~own
  if (does === 'end') writer.ends = bit
  const isMaker = w === 0 && world.watched === 'B'
  writer.touches = !isMaker && (does === 'end' || (does !== 'endOther' && (s.live & bit) > 0))
  if (isMaker) writer.ticketRun = s.processes[0].link
  if (!rules.decidesUnderLock && does === 'signIn') writer.phase = phase.looked
}

function lock(s: State, working: Working): void {
  const { w } = working
  const writer = s.writers[w]
  if (writer.phase === phase.start) readLive(s, working)
  holdLock(s, w)
  writer.phase = phase.locked
  // It takes its step with what it reads under the lock, or with its last statement.
  if (working.world.stepsAtLock) writer.position = nextStep(s, working.rules)
}

/** RedisSessionCache.#set */
function mark(s: State, { w, on, rules }: Working, fate: Fate): void {
  const writer = s.writers[w]
  writer.phase = phase.marked
  writer.run = 0
  writer.history = s.processes[on].history
  if (!writer.touches || !rules.marks) return
  if (send(s, rules, on, fate, lateKinds.mark, w)) writer.run = s.processes[on].link
}

function markEarly(s: State, working: Working, fate: Fate): void {
  readLive(s, working)
  mark(s, working, fate)
}

/** Takes its step in the feed, if it has none yet, and checks its mark. */
function confirm(s: State, working: Working, fate: Fate): void {
  const { w, on, rules } = working
  const writer = s.writers[w]
  if (writer.position === 0) writer.position = nextStep(s, rules)
  if (rules.confirms && (writer.run === 0 || writer.run !== s.processes[on].link)) mark(s, working, fate)
  writer.phase = phase.written
}

function commit(s: State, { w, does }: Working): void {
  const writer = s.writers[w]
  s.version = nextVersion(s)
  s.lock = 0
  s.live &= ~writer.ends
  if (does === 'signIn') s.live |= w === 0 ? 2 : 4
  const isSettled = writer.version > 0
  writer.version = s.version
  if (isSettled) endWriter(writer)
  else writer.phase = phase.committed
}

function settleEarly(s: State, { w, on, rules }: Working, fate: Fate): void {
  const writer = s.writers[w]
  writer.version = nextVersion(s)
  if (writer.touches) send(s, rules, on, fate, lateKinds.settle, w)
}

/** announceLate of late-changes.ts */
function announce(s: State, { w, rules }: Working): void {
  const writer = s.writers[w]
  writer.position = nextStep(s, rules)
  writer.isLate = false
  writer.read = 0
}

/** RedisSessionCache.settle */
function settle(s: State, working: Working, fate: Fate): void {
  const { w, on, rules } = working
  const writer = s.writers[w]
  // After a change of the history, nothing is written, and the mark stays.
  const isOtherHistory = writer.history !== s.processes[on].history
  const isSettled =
    !writer.touches ||
    (isOtherHistory ? runFor(s, rules, on) !== 0 : send(s, rules, on, fate, lateKinds.settle, w))
  const isSettledThere = isSettled && writer.run !== 0 && writer.run === s.processes[on].link
  const waits = {
    never: false,
    whereUnmarked: writer.run === 0 && !isSettled,
    unlessSettled: !isSettledThere,
  }
  if (writer.touches && waits[rules.waits]) writer.phase = phase.waiting
  else finish(s, working)
}

function finish(s: State, { w, world }: Working): void {
  const isMaker = w === 0 && world.watched === 'B'
  if (isMaker) s.writers[w].phase = phase.filling
  else endWriter(s.writers[w])
}

/**
 * Whether the writer has waited long enough: 1,020 ms, and a process is fresh for 1,000 ms after it starts to
 * read.
 */
function hasWaited(state: State, rules: Rules, { read, outlasted }: WriterState): boolean {
  const { isFresh, isReading } = state.processes[checker]
  if (read === 2 || (outlasted & (1 << checker)) > 0) return true
  return !isFresh && !(isReading && read === 0 && rules.freshFromBeginning)
}

/** A sign-in fills the entry of its new session, with its own position. */
function fillOwn(s: State, { w, on, rules }: Working, fate: Fate): void {
  const { version, position, ticketRun, history } = s.writers[w]
  const { link } = s.processes[on]
  endWriter(s.writers[w])
  if (ticketRun === 0 || link === 0 || (link !== ticketRun && rules.fillsSameRun)) return
  send(s, rules, on, fate, lateKinds.fill, entryOf(version, position, history))
}

/** A crash before the mark, or after the answer, changes nothing. */
function offerCrash({ state, w }: Working, name: string, offer: Offer<State>): void {
  const at = state.writers[w].phase
  if (at === phase.marked || at === phase.written)
    offer(name, 'crashes', (s) => {
      if (s.lock === w + 1) s.lock = 0
      const { phase: _, ...none } = newWriter()
      Object.assign(s.writers[w], none, { phase: phase.diedBefore })
    })
  if (at >= phase.committed && at < phase.answered)
    offer(name, 'crashes', (s) => {
      s.writers[w].phase = phase.diedAfter
    })
}
