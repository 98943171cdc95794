// The copy protocol as a small model, searched whole: as designed it holds, and each rule left out prints the trace that
// breaks it. Bad is a copy that is older than the truth while no live writer stands between its mark and its settle.
import { expect, test } from 'vitest'

interface Rules {
  readonly writers: number
  /** The account's lock comes before the mark. */
  readonly lockFirst: boolean
  /** A settle replaces only its own mark. */
  readonly settleCompares: boolean
  /** A settle that finds no mark, but a copy or nothing, marks again: its own mark ran out. */
  readonly settleMarksAgain: boolean
  /** A fill writes only where nothing is, or what is older. */
  readonly fillOnlyOlder: boolean
  /** A reader that meets a mark does not fill. */
  readonly markForbidsFill: boolean
  /** A mark may run out while its writer still works: slower than every deadline allows. */
  readonly marksRunOutEarly: boolean
  readonly writersDie: boolean
}

const designed: Rules = {
  writers: 2,
  lockFirst: true,
  settleCompares: true,
  settleMarksAgain: true,
  fillOnlyOlder: true,
  markForbidsFill: true,
  marksRunOutEarly: false,
  writersDie: true,
}

/** Where a writer is: 0 start, 1 and 2 have locked and marked (or marked and locked), 3 committed, 4 settled, 9 dead. */
type Place = 0 | 1 | 2 | 3 | 4 | 9
type Copy = null | { readonly mark: number } | { readonly version: number }

interface State {
  readonly truth: number
  readonly lock: number | null
  readonly copy: Copy
  readonly places: readonly Place[]
  readonly committed: readonly number[]
  /** What a reader has read and not filled yet. */
  readonly pending: number | null
  /** Who has marked since that read began: 10 s of a fill are far less than the 60 s of a mark. */
  readonly markedSince: readonly number[]
}

interface Step {
  readonly name: string
  readonly state: State
}

const replaceAt = <T>(list: readonly T[], at: number, value: T): T[] =>
  list.map((item, i) => (i === at ? value : item))
const isMark = (copy: Copy): copy is { readonly mark: number } => copy !== null && 'mark' in copy

function writerSteps(state: State, w: number, rules: Rules): Step[] {
  const { truth, lock, copy, places, committed, pending, markedSince } = state
  const at = (place: Place, change: Partial<State>, name: string): Step => ({
    name: `w${w} ${name}`,
    state: { ...state, places: replaceAt(places, w, place), ...change },
  })
  const since = pending === null ? markedSince : [...new Set([...markedSince, w])].sort()
  const marks = (place: Place) => at(place, { copy: { mark: w }, markedSince: since }, 'marks')
  const locks = (place: Place) => at(place, { lock: w }, 'locks')
  const steps: Step[] = []
  const place = places[w]
  if (place === 0 && rules.lockFirst && lock === null) steps.push(locks(1))
  if (place === 0 && !rules.lockFirst) steps.push(marks(1))
  if (place === 1 && rules.lockFirst) steps.push(marks(2))
  if (place === 1 && !rules.lockFirst && lock === null) steps.push(locks(2))
  if (place === 2) {
    const change = { truth: truth + 1, lock: null, committed: replaceAt(committed, w, truth + 1) }
    steps.push(at(3, change, `commits ${truth + 1}`))
  }
  if (place === 3) {
    const settledCopy = settled(copy, w, committed[w] ?? 0, rules)
    const marksAgain = isMark(settledCopy) && settledCopy !== copy
    steps.push(at(4, { copy: settledCopy, ...(marksAgain && { markedSince: since }) }, 'settles'))
  }
  if (rules.writersDie && (place === 1 || place === 2 || place === 3))
    steps.push(at(9, { lock: lock === w ? null : lock }, 'dies'))
  return steps
}

function settled(copy: Copy, w: number, version: number, rules: Rules): Copy {
  if (!rules.settleCompares || (isMark(copy) && copy.mark === w)) return { version }
  if (rules.settleMarksAgain && !isMark(copy)) return { mark: w }
  return copy
}

function otherSteps(state: State, rules: Rules): Step[] {
  const { truth, copy, places, pending, markedSince } = state
  const steps: Step[] = []
  if (isMark(copy)) {
    const writerIsDone = places[copy.mark] === 4 || places[copy.mark] === 9
    const mayRunOut = writerIsDone && !(pending !== null && markedSince.includes(copy.mark))
    if (mayRunOut || (rules.marksRunOutEarly && !writerIsDone))
      steps.push({ name: 'mark runs out', state: { ...state, copy: null } })
  } else if (copy !== null && pending === null) {
    steps.push({ name: 'copy runs out', state: { ...state, copy: null } })
  }
  if (pending === null && (copy === null || (isMark(copy) && !rules.markForbidsFill))) {
    steps.push({ name: `reader reads ${truth}`, state: { ...state, pending: truth, markedSince: [] } })
  }
  if (pending !== null) {
    const isOlder = copy === null || (!isMark(copy) && copy.version < pending)
    const filled = !rules.fillOnlyOlder || isOlder ? { version: pending } : copy
    steps.push({
      name: `reader fills ${pending}`,
      state: { ...state, copy: filled, pending: null, markedSince: [] },
    })
  }
  return steps
}

function isBad({ copy, truth, places }: State, rules: Rules): boolean {
  if (copy === null || isMark(copy) || copy.version >= truth) return false
  const working: Place[] = rules.lockFirst ? [2, 3] : [1, 2, 3]
  return !places.some((place) => working.includes(place))
}

/** Visits every state that can be reached; the shortest trace to a bad one, or null. */
function search(change: Partial<Rules>): { states: number; trace: string | null } {
  const rules = { ...designed, ...change }
  const none = Array.from({ length: rules.writers }, () => 0 as const)
  const start: State = {
    truth: 0,
    lock: null,
    copy: null,
    places: none,
    committed: none,
    pending: null,
    markedSince: [],
  }
  const traces = new Map([[JSON.stringify(start), '']])
  const queue = [start]
  for (let state = queue.shift(); state; state = queue.shift()) {
    const trace = traces.get(JSON.stringify(state)) ?? ''
    if (isBad(state, rules)) return { states: traces.size, trace }
    const writers = Array.from({ length: rules.writers }, (_, w) => w)
    const current = state
    for (const step of [
      ...writers.flatMap((w) => writerSteps(current, w, rules)),
      ...otherSteps(current, rules),
    ]) {
      const key = JSON.stringify(step.state)
      if (traces.has(key)) continue
      traces.set(key, trace === '' ? step.name : `${trace} > ${step.name}`)
      queue.push(step.state)
    }
  }
  return { states: traces.size, trace: null }
}

test.each([
  ['two writers', {}],
  ['three writers', { writers: 3 }],
  ['marks that run out under writers that live on', { marksRunOutEarly: true, writersDie: false }],
])('as designed no copy is older than the truth: %s', (_name, change) => {
  const { states, trace } = search(change)
  expect(states).toBeGreaterThan(100)
  expect(trace).toBeNull()
})

test.each([
  [
    'the mark comes before the lock',
    { lockFirst: false, settleMarksAgain: false },
    'w0 marks > w1 marks > w1 locks > w1 commits 1 > w0 locks > w0 commits 2 > w0 settles > w1 settles',
  ],
  [
    'a settle does not compare',
    { settleCompares: false },
    'w0 locks > w0 marks > w0 commits 1 > w1 locks > w1 marks > w0 settles > w1 commits 2 > w1 dies',
  ],
  [
    'a fill writes over what is there',
    { fillOnlyOlder: false },
    'w0 locks > reader reads 0 > w0 marks > w0 commits 1 > w0 settles > reader fills 0',
  ],
  [
    'a reader fills although it met a mark',
    { markForbidsFill: false, fillOnlyOlder: false },
    'w0 locks > w0 marks > reader reads 0 > w0 commits 1 > w0 settles > reader fills 0',
  ],
  [
    'a settle leaves a copy that was filled after its mark ran out',
    { settleMarksAgain: false, marksRunOutEarly: true, writersDie: false },
    null,
  ],
])('the shortest trace that breaks it where %s', (_name, change, known) => {
  const { trace } = search(change)
  expect(trace).not.toBeNull()
  if (known !== null) expect(trace?.split(' > ')).toHaveLength(known.split(' > ').length)
})
