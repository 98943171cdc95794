// Searches a model of the session cache's protocol completely: with all rules, no check is answered with a
// state from before an end; without one rule, the search prints the shortest trace to a wrong answer. The
// model is in cache-model/, the contract in src/session-cache/session-cache.ts.
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

const one: World = { watched: 'A', writers: end, crashes: true, staleFeeds: true }
const oneByChecker: World = { ...one, writers: endByChecker }
const two: World = { watched: 'A', writers: changeAndEnd, crashes: true }
const connectionsBreak: World = { ...one, connectionsBreak: true, faults: 1 }
const redisCrashes: World = { ...one, redisCrashes: true, faults: 1 }
const twoWithBreaks: World = { watched: 'A', writers: changeAndEnd, connectionsBreak: true, faults: 1 }

const late: World = { ...connectionsBreak, otherAccount: true, lateCommits: true }

const loss: World = { watched: 'A', writers: end, connectionsBreak: true, databaseLoses: true, faults: 2 }
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
    'an end, with reads that take time, and a change of another account',
    { ...one, crashes: false, slowReads: true, otherAccount: true },
  ],
  ['an end whose commit may be late, a change of another account, and a lost connection', late],
  ['the same with steps that are taken at the lock', { ...late, stepsAtLock: true }],
  ['a change and an end, with steps that are taken at the lock', { ...two, stepsAtLock: true }],
  [
    'an end whose commit may be late, with reads of database and feed that take time',
    { ...late, connectionsBreak: false, faults: 0, crashes: false, slowReads: true, slowFeeds: true },
  ],
  ['an end that the database loses, and a lost connection', loss],
  ['a change and an end, of which the database loses one', lossOfOne],
  [
    'an end, with reads of the feed that take time, and a lost connection',
    { ...connectionsBreak, slowFeeds: true },
  ],
  ['an end, and Redis crashes', { ...oneByChecker, redisCrashes: true, faults: 1 }],
  [
    'an end, with two faults: Redis crashes, connections are lost',
    { ...redisCrashes, crashes: false, staleFeeds: false, connectionsBreak: true, faults: 2 },
  ],
  ['an end, and a connection stalls', { ...one, crashes: false, connectionsStall: true, faults: 1 }],
  [
    'an end, and two Redis processes, or a Redis that loses its data',
    { ...oneByChecker, redisSplits: true, redisForgets: true, faults: 1 },
  ],
  ['a change and an end', two],
  ['an end, and the end of another session', { watched: 'A', writers: endAndAnother }],
  ['a change and an end, and a lost connection', twoWithBreaks],
  ['two sign-ins; the session of the first is watched', { watched: 'B', writers: signIns, crashes: true }],
  [
    'two sign-ins; the session that they replace is watched',
    { watched: 'A', writers: signInsCrossed, crashes: true },
  ],
  ['a sign-in, and the end of its session', { watched: 'B', writers: signInAndEnd, crashes: true }],
]

let searched = 0

afterAll(() => console.log(`${searched} states in total, none of them wrong`))

test.each(
  worlds,
)('with all rules, no check is answered with a state from before an end: %s', (name, world) => {
  const { states, trace } = search(modelOf(world))
  console.log(`${states} states: ${name}`)
  searched += states
  expect(trace).toBeNull()
  expect(states).toBeGreaterThan(50_000)
})

test.each(
  worlds.filter(
    ([, { writers, redisCrashes, databaseLoses }]) =>
      (writers.length === 2 && !databaseLoses) || redisCrashes,
  ),
)('the same where a fill replaces an entry of its own position: %s', (_name, world) => {
  const { states, trace } = search(modelOf(world, { fillsOverTies: true }))
  searched += states
  expect(trace).toBeNull()
  expect(states).toBeGreaterThan(50_000)
})

interface LeftOut {
  readonly rules: Partial<Rules>
  readonly world: World
  /** The number of steps of the shortest trace. */
  readonly steps: number
}

/** Checks must reflect a change once it is answered, which is what is promised, and not once it commits. */
const answered = (world: World): World => ({ ...world, since: 'answer' })

const leftOut: readonly [string, LeftOut][] = [
  ['a writer marks before it locks', { rules: { locksFirst: false }, world: answered(two), steps: 12 }],
  [
    'a sign-in reads the live sessions before it locks',
    { rules: { decidesUnderLock: false }, world: { ...two, writers: signIns }, steps: 10 },
  ],
  ['no writer marks, and one crashes', { rules: { marks: false }, world: one, steps: 6 }],
  ['a mark expires before the commit', { rules: { marksOutliveWriters: false }, world: one, steps: 9 }],
  ['entries are written before the commit', { rules: { settlesAfterCommit: false }, world: one, steps: 6 }],
  [
    'a settle replaces the mark of another writer',
    { rules: { settleCompares: false }, world: answered(two), steps: 12 },
  ],
  [
    'a writer that could not mark does not wait',
    { rules: { waits: 'never' }, world: answered(connectionsBreak), steps: 8 },
  ],
  [
    'a writer whose settle failed does not wait if it had marked',
    { rules: { waits: 'whereUnmarked' }, world: answered(redisCrashes), steps: 13 },
  ],
  [
    'a writer without a mark does not wait if its settle finds the mark of another writer',
    { rules: { waits: 'whereUnmarked' }, world: answered(twoWithBreaks), steps: 14 },
  ],
  [
    'a settle that finds no mark neither marks nor waits',
    {
      rules: { waits: 'whereUnmarked', settleMarksAgain: false },
      world: answered(connectionsBreak),
      steps: 9,
    },
  ],
  ['a fill replaces a mark', { rules: { markForbidsFill: false }, world: answered(one), steps: 11 }],
  ['a fill replaces a newer entry', { rules: { fillsOnlyOlder: false }, world: answered(one), steps: 9 }],
  [
    'a fill may be late, and positions are not compared',
    { rules: { fillsInTime: false, positionsCount: false }, world: answered(one), steps: 10 },
  ],
  [
    'a fill may go to another Redis process',
    { rules: { fillsSameRun: false }, world: answered(redisCrashes), steps: 13 },
  ],
  [
    'a read takes its position after the read',
    { rules: { ticketBeforeRead: false }, world: answered({ ...one, slowReads: true }), steps: 11 },
  ],
  [
    'keys do not contain the run id',
    { rules: { runInKeys: false }, world: answered(redisCrashes), steps: 11 },
  ],
  [
    'a process keeps its memory when it loses its connection',
    { rules: { forgetsWithLink: false }, world: answered(connectionsBreak), steps: 9 },
  ],
  [
    'a process keeps an entry that a message has invalidated meanwhile',
    { rules: { invalidatedIsNotKept: false }, world: answered(one), steps: 8 },
  ],
  [
    'an invalidation message removes nothing from memory',
    { rules: { messagesForget: false }, world: answered(one), steps: 8 },
  ],
  [
    'the position of an entry is not compared',
    { rules: { positionsCount: false }, world: answered(connectionsBreak), steps: 8 },
  ],
  [
    'a change in the feed removes nothing from memory',
    { rules: { feedForgets: false }, world: answered(one), steps: 8 },
  ],
  [
    'entries are trusted while the feed is stale',
    { rules: { freshness: false }, world: answered(connectionsBreak), steps: 9 },
  ],
  [
    'freshness counts from the end of a read of the feed',
    {
      rules: { freshFromBeginning: false },
      world: answered({ ...connectionsBreak, slowFeeds: true }),
      steps: 11,
    },
  ],
  [
    'the position passes a change that is not committed',
    {
      rules: { waitsForOpen: false },
      world: answered({ ...connectionsBreak, otherAccount: true }),
      steps: 12,
    },
  ],
  [
    'a writer with a late commit does not announce its change again',
    { rules: { announcesLate: false }, world: answered(late), steps: 14 },
  ],
  [
    'no process notices a commit that the database has lost',
    { rules: { noticesLoss: false }, world: answered(loss), steps: 9 },
  ],
  [
    'entries do not contain the history of the database',
    { rules: { historyInEntries: false }, world: answered(loss), steps: 9 },
  ],
  [
    'a step may be less than a visible one',
    {
      rules: { stepsFollow: false },
      world: answered({ ...connectionsBreak, otherAccount: true }),
      steps: 11,
    },
  ],
]

test.each(leftOut)('there is a trace to a wrong answer where %s', (name, { rules, world, steps }) => {
  const trace = search(modelOf(world, rules)).trace ?? expect.fail('there is no trace')
  console.log(`${name}:\n  ${trace.join('\n  ')}`)
  expect(trace).toHaveLength(steps + 1)
})

// While the feed is read, another rule makes up for each of these. The name says why the rule is there.
describe('no answer is wrong without', () => {
  test.each<[string, Partial<Rules>, World]>([
    ['marks, which make an end known before it is answered', { marks: false }, answered(one)],
    ['confirm, which saves the wait', { confirms: false }, answered(redisCrashes)],
    [
      'the mark of a settle, after which the writer waits',
      { settleMarksAgain: false },
      answered(connectionsBreak),
    ],
    ['the 10 s of a fill, because positions show that it is old', { fillsInTime: false }, answered(one)],
    ['positions in a world without faults, because of the marks', { positionsCount: false }, answered(one)],
  ])('%s', (_name, rules, world) => {
    expect(search(modelOf(world, rules)).trace).toBeNull()
  })
})
