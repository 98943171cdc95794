// The checker reports each kind of violation, and nothing in a correct history.
import { describe, expect, test } from 'vitest'
import { hashToken } from '../../src/sessions/token.ts'
import { check } from './checker.ts'
import type { FaultInterval, Operation } from './history.ts'
import type { KeptSession } from './losses.ts'

const options = { boundMs: 1_000, strictBoundMs: 50, deadlineMs: 15_000 }
const base = { account: 'a', server: 's1', outcome: 'done', answer: '200' } as const

const signIn = (token: string | null, start: number, more: Partial<Operation> = {}): Operation => ({
  ...base,
  kind: 'sign_in',
  token,
  start,
  end: start + 10,
  ...more,
})
const signOut = (token: string, start: number, more: Partial<Operation> = {}): Operation => ({
  ...base,
  kind: 'sign_out',
  token,
  start,
  end: start + 10,
  ...more,
})
const tokenCheck = (token: string, start: number, more: Partial<Operation> = {}): Operation => ({
  ...base,
  kind: 'check',
  token,
  start,
  end: start + 1,
  ...more,
})
const rules = (operations: Operation[], faultIntervals: FaultInterval[] = [], servers: string[] = []) =>
  check({ servers, operations, faultIntervals }, options).map(({ rule }) => rule)
const fault = {
  name: 'fault',
  hasStrictBounds: false,
  mustFailRequests: false,
  start: 0,
  healedAt: 4_000,
  end: 5_000,
}
const refused = { outcome: 'refused', answer: '401' } as const

test('a correct history has no violation', () => {
  const one = [signIn('t1', 0), tokenCheck('t1', 20), signOut('t1', 30), tokenCheck('t1', 100, refused)]
  expect(rules([...one, signIn('t2', 200), tokenCheck('t2', 220)])).toEqual([])
})

test('"accepted after its end" has the strict bound without a fault, and the wide bound during one', () => {
  const late = [signIn('t1', 0), signOut('t1', 100), tokenCheck('t1', 400)]
  expect(rules(late)).toEqual(['accepted after its end'])
  expect(rules(late, [fault])).toEqual([])
  expect(rules([signIn('t1', 0), signOut('t1', 100), tokenCheck('t1', 1_200)], [fault])).toEqual([
    'accepted after its end',
  ])
})

test('of two sign-ins at once, one token is accepted afterwards, whichever it is', () => {
  const both = [signIn('t1', 0), signIn('t2', 5, { server: 's2' })]
  const early = [...both, tokenCheck('t1', 20), tokenCheck('t2', 40)]
  expect(rules([...early, tokenCheck('t2', 400)])).toEqual([])
  expect(rules([...early, tokenCheck('t1', 400)])).toEqual([])
  const late = [...early, tokenCheck('t1', 400), tokenCheck('t2', 500)]
  expect(rules(late)).toEqual(['two live sessions'])
  expect(rules(late, [fault])).toEqual([])
  // Attempts with one key are one sign-in, whose token is replaced.
  const retried = late.map((one) => (one.kind === 'sign_in' ? { ...one, key: 'k' } : one))
  expect(rules(retried)).not.toContain('two live sessions')
})

test('a second sign-in ends the session of the first', () => {
  expect(rules([signIn('t1', 0), signIn('t2', 100), tokenCheck('t1', 300)])).toEqual([
    'accepted after its end',
  ])
  expect(rules([signIn('t1', 0), signIn('t2', 100, { account: 'b' }), tokenCheck('t1', 300)])).toEqual([])
})

test('an end without a response promises nothing, but explains a refusal', () => {
  const lost = signOut('t1', 100, { outcome: 'unknown' })
  expect(rules([signIn('t1', 0), lost, tokenCheck('t1', 5_000)])).toEqual([])
  expect(rules([signIn('t1', 0), lost, tokenCheck('t1', 5_000, refused)])).toEqual([])
})

test('"effect after its end" is a write whose body was sent after the acknowledged end, even during a fault', () => {
  const write = (start: number, sentAt: number, more: Partial<Operation> = {}): Operation => ({
    ...base,
    kind: 'write',
    token: 't1',
    start,
    sentAt,
    end: sentAt + 10,
    ...more,
  })
  const session = [signIn('t1', 0), signOut('t1', 100)]
  expect(rules([...session, write(50, 111)])).toEqual(['effect after its end'])
  expect(rules([...session, write(50, 111)], [fault])).toEqual(['effect after its end'])
  // The body was sent while the end was in progress: either may have come first.
  expect(rules([...session, write(50, 105)])).toEqual([])
  expect(rules([...session, write(50, 111, refused)])).toEqual([])
  // A write ends no session, so it explains no refusal.
  const other = [signIn('t1', 0), write(20, 30), tokenCheck('t1', 60, refused)]
  expect(rules(other)).toEqual(['refused without a reason'])
})

test('a refusal before any operation that could end the session is a violation', () => {
  expect(rules([signIn('t1', 0), tokenCheck('t1', 50, refused), signOut('t1', 500)])).toEqual([
    'refused without a reason',
  ])
  expect(rules([signIn('t1', 0), tokenCheck('t1', 50, { outcome: 'unavailable' })])).toEqual([])
})

test('of two overlapping sign-ins, either may have ended the session of the other', () => {
  const both = [signIn('t1', 0, { end: 60 }), signIn('t2', 10, { end: 50 })]
  expect(rules([...both, tokenCheck('t1', 500), tokenCheck('t2', 500, refused)])).toEqual([])
  expect(rules([...both, tokenCheck('t2', 500), tokenCheck('t1', 500, refused)])).toEqual([])
})

test('two sign-ins with one code, an unexpected response and a missing response are violations', () => {
  const code = { code: 'a:1' }
  expect(rules([signIn('t1', 0, code), signIn('t2', 1, code)])).toEqual(['two sign-ins with one code'])
  expect(rules([signIn('t1', 0, code), signIn(null, 1, { ...code, ...refused })])).toEqual([])
  expect(rules([signIn(null, 0, { outcome: 'wrong', answer: '500' })])).toEqual(['unexpected response'])
  expect(rules([signIn(null, 0, { outcome: 'unknown', end: 20_000 })])).toEqual(['no answer in time'])
})

test('an interval without a fault between servers and stores has the strict bound', () => {
  const late = [signIn('t1', 0), signOut('t1', 100), tokenCheck('t1', 400)]
  expect(rules(late, [{ ...fault, hasStrictBounds: true }])).toEqual(['accepted after its end'])
})

test('a fault that must fail requests, and fails none, is a violation', () => {
  const withEffect = { ...fault, mustFailRequests: true }
  expect(rules([signIn('t1', 10), tokenCheck('t1', 100)], [withEffect])).toEqual(['fault without effect'])
  expect(rules([signIn('t1', 10), tokenCheck('t1', 100, { outcome: 'unavailable' })], [withEffect])).toEqual(
    [],
  )
  expect(rules([signIn(null, 10, { outcome: 'unknown' })], [withEffect])).toEqual([])
  expect(rules([signIn(null, -10, { outcome: 'unknown', end: 10 })], [withEffect])).toEqual([])
  expect(rules([tokenCheck('t1', 6_000, { outcome: 'unavailable' })], [withEffect])).toEqual([
    'fault without effect',
  ])
})

test('a sign-in must succeed on each server after a fault', () => {
  const servers = ['s1', 's2']
  const on = (server: string, start: number) => signIn(`t-${server}`, start, { server, account: server })
  expect(rules([on('s1', 4_100), on('s2', 4_200)], [fault], servers)).toEqual([])
  expect(rules([on('s1', 4_100), on('s2', 3_900)], [fault], servers)).toEqual(['no recovery'])
  expect(rules([on('s1', 4_100)], [fault], servers)).toEqual(['no recovery'])
  expect(
    rules([on('s1', 4_100), signIn(null, 4_200, { server: 's2', outcome: 'wrong' })], [fault], servers),
  ).toEqual(['unexpected response', 'no recovery'])
})

test('a clock jump explains no refusal of a token, and the refusal of a code needs no explanation', () => {
  const jump = { ...fault, name: 'the clock of one server jumps an hour ahead' }
  expect(rules([signIn('t1', 0), tokenCheck('t1', 50, refused)], [jump])).toEqual([
    'refused without a reason',
  ])
  expect(rules([signIn(null, 0, { ...refused, code: 'a:1' })], [jump])).toEqual([])
})

test('one caller has no more guesses compared than the limits allow before the wait has ended', () => {
  const guess = (start: number, more: Partial<Operation> = {}): Operation => ({
    ...base,
    kind: 'guess',
    token: null,
    answer: '401',
    start,
    end: start + 10,
    ...more,
  })
  const five = [0, 1, 2, 3, 4].map((start) => guess(start))
  expect(rules(five)).toEqual([])
  expect(rules([...five, guess(5, { outcome: 'refused', answer: '429' })])).toEqual([])
  expect(rules([...five, guess(5, { account: 'b' })])).toEqual([])
  expect(rules([...five, guess(31_000)])).toEqual([])
  expect(rules([...five, guess(5)])).toEqual(['more guesses than the limits allow'])
  expect(rules([signIn('t1', 0), ...five, tokenCheck('t1', 500)])).toEqual([])
})

describe('a sign-in that is retried with its key', () => {
  const token = (session: string, secret: string) => `hf_${session.padEnd(22, '-')}${secret}`
  const [s1a, s1b, s2] = [token('s1', 'a'), token('s1', 'b'), token('s2', 'c')]
  const key = { key: 'k' }

  test('gets another token for its session, and the previous token ends', () => {
    const repeated = [signIn(s1a, 0, key), signIn(s1b, 20, key)]
    expect(rules([...repeated, tokenCheck(s1b, 40), tokenCheck(s1a, 50, refused)])).toEqual([])
    expect(rules([...repeated, tokenCheck(s1a, 400)])).toEqual(['accepted after its end'])
    expect(rules([signIn(s1a, 0, { ...key, code: 'c' }), signIn(s1b, 20, { ...key, code: 'c' })])).toEqual([])
  })

  test('replaces no token that was accepted, even during a fault', () => {
    const used = [signIn(s1a, 0, key), tokenCheck(s1a, 20), signIn(s1b, 40, key)]
    expect(rules([...used, tokenCheck(s1b, 60)], [fault])).toEqual(['a used token was replaced'])
    // The same token, which another client could have requested.
    expect(rules([signIn(s1a, 0, key), tokenCheck(s1a, 20), signIn(s1a, 40, key)], [fault])).toEqual([
      'a used token was replaced',
    ])
    expect(rules([signIn(s1a, 0, key), signIn(s1a, 5, key), tokenCheck(s1a, 20)])).toEqual([])
    // The client cannot know which of the two the server handled first.
    const both = [signIn(s1a, 0, { ...key, end: 60 }), signIn(s1b, 0, { ...key, end: 50 })]
    expect(rules([...both, tokenCheck(s1a, 70), tokenCheck(s1b, 80)], [fault])).toEqual([
      'a used token was replaced',
    ])
    expect(rules([...both, signOut(s1a, 70), tokenCheck(s1b, 90)], [fault])).toEqual([
      'a used token was replaced',
    ])
    // By password, a retry after the first use is a new sign-in.
    expect(
      rules([signIn(s1a, 0, key), tokenCheck(s1a, 20), signIn(s2, 40, key), tokenCheck(s2, 60)]),
    ).toEqual([])
  })

  test('runs once: a second session would replace another one', () => {
    expect(rules([signIn(s1a, 0, key), signIn(s2, 20, key)], [fault])).toEqual([
      'a retried sign-in ran twice',
    ])
    expect(rules([signIn(s1a, 0, key), signIn(s2, 20, { key: 'other' })])).toEqual([])
    // The server's clock says that two minutes have passed.
    expect(rules([signIn(s1a, 0, key), signIn(s2, 20, key)], [{ ...fault, movesClock: true }])).toEqual([])
  })

  test('is not refused while its token is unused', () => {
    const no = { ...key, ...refused }
    expect(rules([signIn(s1a, 0, key), signIn(null, 20, no)])).toEqual(['a retry was refused'])
    expect(rules([signIn(s1a, 0, key), tokenCheck(s1a, 15), signIn(null, 20, no)])).toEqual([])
    // The refused attempt may have been handled before the acknowledged one.
    expect(rules([signIn(s1a, 0, key), signIn(null, 5, no)])).toEqual([])
  })
})

test('a fault that heals too late is a violation', () => {
  const inTime = { ...fault, healsWithinMs: 500 }
  const on = (start: number) => signIn('t1', start, { server: 's1' })
  expect(rules([on(4_100)], [inTime], ['s1'])).toEqual([])
  expect(rules([on(4_495)], [inTime], ['s1'])).toEqual(['no recovery'])
})

describe('where the database has lost its last commits', () => {
  const token = (session: string) => `hf_${session.padEnd(22, '-')}secret`
  const [t1, t2, t3] = [token('t1'), token('t2'), token('t3')]
  const row = (one: string, more: Partial<KeptSession> = {}) =>
    [one.slice(3, 25), { isLive: true, isUsed: true, tokenHash: hashToken(one), ...more }] as const
  const having = (...kept: (readonly [string, KeptSession])[]) => [
    { ...fault, loss: { from: 1_000, to: 2_000, kept: new Map(kept) } },
  ]

  /** In most of these histories nothing is lost. */
  const rulesBut = (...history: Parameters<typeof rules>) =>
    rules(...history).filter((rule) => rule !== 'fault without effect')

  test('a loss of nothing that was acknowledged is a fault without effect', () => {
    expect(rules([signIn(t1, 0)], having())).toEqual([])
    expect(rules([signIn(t1, 0)], having(row(t1)))).toEqual(['fault without effect'])
    expect(rules([signIn(t1, 0), signOut(t1, 100)], having(row(t1)))).toEqual([])
  })

  test('a sign-in whose row is lost may be refused afterwards, and must be after a while', () => {
    const lost = [signIn(t1, 0)]
    expect(rulesBut([...lost, tokenCheck(t1, 2_500, refused)], having())).toEqual([])
    expect(rulesBut([...lost, tokenCheck(t1, 2_500)], having())).toEqual([])
    expect(rulesBut([...lost, tokenCheck(t1, 3_500)], having())).toEqual(['accepted after its end'])
    expect(rulesBut([...lost, tokenCheck(t1, 500, refused)], having())).toEqual(['refused without a reason'])
    expect(rulesBut([...lost, tokenCheck(t1, 2_500, refused)], having(row(t1)))).toEqual([
      'refused without a reason',
    ])
  })

  test('an end whose row is lost promises nothing afterwards, and everything before', () => {
    const out = [signIn(t1, 0), signOut(t1, 100)]
    expect(rulesBut([...out, tokenCheck(t1, 3_500)], having(row(t1)))).toEqual([])
    expect(rulesBut([...out, tokenCheck(t1, 3_500, refused)], having(row(t1)))).toEqual([])
    expect(rulesBut([...out, tokenCheck(t1, 3_500)], having(row(t1, { isLive: false })))).toEqual([
      'accepted after its end',
    ])
    const strict = having(row(t1)).map((one) => ({ ...one, hasStrictBounds: true }))
    expect(rulesBut([...out, tokenCheck(t1, 300)], strict)).toEqual(['accepted after its end'])
  })

  test('a sign-in that is lost has replaced nothing, and one that is kept has', () => {
    const two = [signIn(t1, 0), signIn(t2, 100)]
    expect(rulesBut([...two, tokenCheck(t1, 3_500)], having(row(t1)))).toEqual([])
    expect(rulesBut([...two, tokenCheck(t1, 3_500)], having(row(t1), row(t2)))).toEqual([
      'accepted after its end',
    ])
    expect(rulesBut([...two, signIn(t3, 2_100), tokenCheck(t1, 3_500)], having(row(t1)))).toEqual([
      'accepted after its end',
    ])
  })

  test('an operation that overlaps the loss may have come before or after it', () => {
    const overlapping = { start: 900, end: 2_100 }
    expect(rulesBut([signIn(t1, 0), tokenCheck(t1, 0, { ...overlapping, ...refused })], having())).toEqual([])
    const out = [signIn(t1, 0), signOut(t1, 100)]
    expect(rulesBut([...out, tokenCheck(t1, 0, overlapping)], having(row(t1)))).toEqual([])
    // Its row may be in the database by now.
    const late = signIn(t1, 0, overlapping)
    expect(rulesBut([late, tokenCheck(t1, 3_900)], having())).toEqual([])
    expect(rulesBut([late, tokenCheck(t1, 3_900, refused)], having())).toEqual([])
  })

  test('a code whose use is lost may be used again, and no other one', () => {
    const code = { code: 'a:1' }
    const twice = [signIn(t1, 0, code), signIn(t2, 2_100, code)]
    expect(rulesBut(twice, having())).toEqual([])
    expect(rulesBut(twice, having(row(t1)))).toEqual(['two sign-ins with one code'])
    expect(rulesBut([signIn(t1, 0, code), signIn(t2, 20, code)], having())).toEqual([
      'two sign-ins with one code',
    ])
  })

  test('a sign-in may be retried again where it or its first use is lost', () => {
    const key = { key: 'k' }
    const again = [signIn(t1, 0, key), signIn(t2, 2_100, key)]
    expect(rulesBut(again, having())).toEqual([])
    expect(rulesBut(again, having(row(t1, { isUsed: false })))).toEqual(['a retried sign-in ran twice'])
    const used = [signIn(t1, 0, key), tokenCheck(t1, 20), signIn(t1, 2_100, key)]
    expect(rulesBut(used, having(row(t1, { isUsed: false })))).toEqual([])
    expect(rulesBut(used, having(row(t1)))).toEqual(['a used token was replaced'])
  })
})
