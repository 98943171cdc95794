// The protocol of the session cache as a model, searched whole: as designed no check is answered from before
// an end, and each rule left out prints the shortest trace that breaks it. cache-model/ has the model;
// src/session-cache/session-cache.ts the contract.
import { afterAll, describe, expect, test } from 'vitest'
import { modelOf } from './cache-model/model.ts'
import type { Rules, World, Writer } from './cache-model/rules.ts'
import { search } from './cache-model/search.ts'

const end: readonly [Writer] = [{ on: 0, does: 'end' }]
const endByChecker: readonly [Writer] = [{ on: 1, does: 'end' }]
const changeAndEnd: readonly [Writer, Writer] = [
  { on: 0, does: 'change' },
  { on: 1, does: 'end' },
]
const endAndAnother: readonly [Writer, Writer] = [
  { on: 1, does: 'end' },
  { on: 0, does: 'endOther' },
]
const signInAndEnd: readonly [Writer, Writer] = [
  { on: 1, does: 'signIn' },
  { on: 0, does: 'end' },
]
const signIns: readonly [Writer, Writer] = [
  { on: 0, does: 'signIn' },
  { on: 1, does: 'signIn' },
]
const signInsCrossed: readonly [Writer, Writer] = [
  { on: 1, does: 'signIn' },
  { on: 0, does: 'signIn' },
]

const one: World = { watched: 'A', writers: end, deaths: true, staleFeeds: true }
const oneByChecker: World = { ...one, writers: endByChecker }
const two: World = { watched: 'A', writers: changeAndEnd, deaths: true }
const linesBreak: World = { ...one, linesBreak: true, faults: 1 }
const redisDies: World = { ...one, redisDies: true, faults: 1 }
const twoWithLines: World = { watched: 'A', writers: changeAndEnd, linesBreak: true, faults: 1 }

const late: World = { ...linesBreak, stranger: true, lateCommits: true }

const loss: World = { watched: 'A', writers: end, linesBreak: true, databaseLoses: true, faults: 2 }
const lossOfOne: World = {
  watched: 'A',
  writers: [
    { on: 0, does: 'change' },
    { on: 0, does: 'end' },
  ],
  databaseLoses: true,
  faults: 1,
}

const worlds: readonly [string, World][] = [
  [
    'an end, with reads that take time, and changes of others',
    { ...one, deaths: false, slowReads: true, stranger: true },
  ],
  ['an end whose commit may be late, changes of others, and a line lost', late],
  [
    'an end whose commit may be late, and reads and readings that take time',
    { ...late, linesBreak: false, faults: 0, deaths: false, slowReads: true, slowFeeds: true },
  ],
  ['an end, and the database loses it and a line is lost', loss],
  ['a change and an end, and the database loses a commit', lossOfOne],
  ['an end, with readings of the feed that take time, and a line lost', { ...linesBreak, slowFeeds: true }],
  ['an end, and Redis dies', { ...oneByChecker, redisDies: true, faults: 1 }],
  [
    'an end, and Redis dies and lines are lost, two faults',
    { ...redisDies, deaths: false, staleFeeds: false, linesBreak: true, faults: 2 },
  ],
  ['an end, and a line falls silent', { ...one, deaths: false, linesFallSilent: true, faults: 1 }],
  [
    'an end, and Redis is two or loses what it holds',
    { ...oneByChecker, redisSplits: true, redisForgets: true, faults: 1 },
  ],
  ['a change and an end', two],
  ['an end, and another session ends', { watched: 'A', writers: endAndAnother }],
  ['a change and an end, and a line is lost', twoWithLines],
  ['two sign-ins, the older one watched', { watched: 'B', writers: signIns, deaths: true }],
  ['two sign-ins, what they replace watched', { watched: 'A', writers: signInsCrossed, deaths: true }],
  ['a sign-in, and its session is ended', { watched: 'B', writers: signInAndEnd, deaths: true }],
]

let searched = 0

afterAll(() => console.log(`${searched} states in all, and no trace`))

test.each(worlds)('as designed no check is answered from before an end: %s', (name, world) => {
  const { states, trace } = search(modelOf(world))
  console.log(`${states} states: ${name}`)
  searched += states
  expect(trace).toBeNull()
  expect(states).toBeGreaterThan(50_000)
})

test.each(
  worlds.filter(
    ([, { writers, redisDies, databaseLoses }]) => (writers.length === 2 && !databaseLoses) || redisDies,
  ),
)('the same where every fill comes from a newer version than what it finds: %s', (_name, world) => {
  const { states, trace } = search(modelOf(world, { fillsOverTies: true }))
  searched += states
  expect(trace).toBeNull()
  expect(states).toBeGreaterThan(50_000)
})

interface LeftOut {
  readonly rules: Partial<Rules>
  readonly world: World
  /** Of the shortest trace. */
  readonly steps: number
}

/** Every change counts from its commit on, or from its answer on: the second is what is promised. */
const answered = (world: World): World => ({ ...world, since: 'answer' })

const leftOut: readonly [string, LeftOut][] = [
  ['the mark comes before the lock', { rules: { locksFirst: false }, world: answered(two), steps: 12 }],
  [
    'a sign-in looks before its lock who is live',
    { rules: { decidesUnderLock: false }, world: { ...two, writers: signIns }, steps: 10 },
  ],
  ['nothing is marked, and the writer dies', { rules: { marks: false }, world: one, steps: 6 }],
  ['a mark runs out before the commit', { rules: { marksOutliveWriters: false }, world: one, steps: 9 }],
  ['entries are written before the commit', { rules: { settlesAfterCommit: false }, world: one, steps: 6 }],
  ['a settle does not compare', { rules: { settleCompares: false }, world: answered(two), steps: 12 }],
  ['nobody waits who could not mark', { rules: { waits: 'never' }, world: answered(linesBreak), steps: 8 }],
  [
    'a settle that could not be made does not wait, for there had been a mark',
    { rules: { waits: 'whereUnmarked' }, world: answered(redisDies), steps: 13 },
  ],
  [
    'a settle without a mark of its own does not wait, for there is another one',
    { rules: { waits: 'whereUnmarked' }, world: answered(twoWithLines), steps: 14 },
  ],
  [
    'a settle neither waits nor marks again',
    {
      rules: { waits: 'whereUnmarked', settleMarksAgain: false },
      world: answered(linesBreak),
      steps: 9,
    },
  ],
  ['a fill writes over a mark', { rules: { markForbidsFill: false }, world: answered(one), steps: 11 }],
  ['a fill writes over what is newer', { rules: { fillsOnlyOlder: false }, world: answered(one), steps: 9 }],
  [
    'a fill comes late, and positions do not count',
    { rules: { fillsInTime: false, positionsCount: false }, world: answered(one), steps: 10 },
  ],
  [
    'a fill goes to another Redis process',
    { rules: { fillsSameRun: false }, world: answered(redisDies), steps: 13 },
  ],
  [
    'a read takes its position afterwards',
    { rules: { ticketBeforeRead: false }, world: answered({ ...one, slowReads: true }), steps: 11 },
  ],
  ['keys carry no run id', { rules: { runInKeys: false }, world: answered(redisDies), steps: 11 }],
  [
    'a lost connection leaves what was remembered',
    { rules: { forgetsWithLink: false }, world: answered(linesBreak), steps: 9 },
  ],
  [
    'an answer is kept that a message came with',
    { rules: { invalidatedIsNotKept: false }, world: answered(one), steps: 8 },
  ],
  [
    'a message does not make a process forget',
    { rules: { messagesForget: false }, world: answered(one), steps: 8 },
  ],
  [
    'the position of an entry does not count',
    { rules: { positionsCount: false }, world: answered(linesBreak), steps: 8 },
  ],
  [
    'what the feed tells does not make a process forget',
    { rules: { feedForgets: false }, world: answered(one), steps: 8 },
  ],
  [
    'entries are trusted without a fresh feed',
    { rules: { freshness: false }, world: answered(linesBreak), steps: 9 },
  ],
  [
    'a reading of the feed is fresh from its end on',
    { rules: { freshFromBeginning: false }, world: answered({ ...linesBreak, slowFeeds: true }), steps: 11 },
  ],
  [
    'the position passes a change that is still open',
    {
      rules: { waitsForOpen: false },
      world: answered({ ...linesBreak, stranger: true }),
      steps: 12,
    },
  ],
  [
    'a writer whose commit was late does not announce its change again',
    { rules: { announcesLate: false }, world: answered(late), steps: 14 },
  ],
  [
    'no process notices that the database has lost a commit',
    { rules: { noticesLoss: false }, world: answered(loss), steps: 9 },
  ],
  [
    'entries do not carry the history of the database',
    { rules: { historyInEntries: false }, world: answered(loss), steps: 9 },
  ],
  [
    'a step does not follow those that are visible',
    { rules: { stepsFollow: false }, world: answered({ ...linesBreak, stranger: true }), steps: 11 },
  ],
]

test.each(leftOut)('the shortest trace that breaks it where %s', (name, { rules, world, steps }) => {
  const trace = search(modelOf(world, rules)).trace ?? expect.fail('there is no trace')
  console.log(`${name}:\n  ${trace.join('\n  ')}`)
  expect(trace).toHaveLength(steps + 1)
})

// Each of these stands behind another one that would do alone, as long as the feed is read. What it is for
// all the same:
describe('what could be left out', () => {
  test.each<[string, Partial<Rules>, World]>([
    ['marks: they make an end known before it is answered', { marks: false }, answered(one)],
    ['confirm: it spares the wait', { confirms: false }, answered(redisDies)],
    [
      'the second mark of a settle: where it is set, there is a wait',
      { settleMarksAgain: false },
      answered(linesBreak),
    ],
    ['the 10 s of a fill: positions say that it is old', { fillsInTime: false }, answered(one)],
    ['positions, where there are no faults: marks say it', { positionsCount: false }, answered(one)],
  ])('%s', (_name, rules, world) => {
    expect(search(modelOf(world, rules)).trace).toBeNull()
  })
})
