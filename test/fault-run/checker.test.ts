// The checker sees what it is there for, and nothing else.
import { describe, expect, test } from 'vitest'
import { check } from './checker.ts'
import type { Operation, Trouble } from './history.ts'

const options = { boundMs: 1_000, calmMs: 50, deadlineMs: 15_000 }
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
const look = (token: string, start: number, more: Partial<Operation> = {}): Operation => ({
  ...base,
  kind: 'check',
  token,
  start,
  end: start + 1,
  ...more,
})
const rules = (operations: Operation[], troubles: Trouble[] = [], servers: string[] = []) =>
  check({ servers, operations, troubles }, options).map(({ rule }) => rule)
const fault = { name: 'fault', isCalm: false, isFelt: false, start: 0, healedAt: 4_000, end: 5_000 }
const refused = { outcome: 'refused', answer: '401' } as const

test('an ordinary life has no violation', () => {
  const one = [signIn('t1', 0), look('t1', 20), signOut('t1', 30), look('t1', 100, refused)]
  expect(rules([...one, signIn('t2', 200), look('t2', 220)])).toEqual([])
})

test('accepted after its end: at once where all is well, after the bound where it is not', () => {
  const late = [signIn('t1', 0), signOut('t1', 100), look('t1', 400)]
  expect(rules(late)).toEqual(['accepted after its end'])
  expect(rules(late, [fault])).toEqual([])
  expect(rules([signIn('t1', 0), signOut('t1', 100), look('t1', 1_200)], [fault])).toEqual([
    'accepted after its end',
  ])
})

test('accepted after its end: a second sign-in ends the first', () => {
  expect(rules([signIn('t1', 0), signIn('t2', 100), look('t1', 300)])).toEqual(['accepted after its end'])
  expect(rules([signIn('t1', 0), signIn('t2', 100, { account: 'b' }), look('t1', 300)])).toEqual([])
})

test('an end without an answer is no promise, but a reason', () => {
  const lost = signOut('t1', 100, { outcome: 'unknown' })
  expect(rules([signIn('t1', 0), lost, look('t1', 5_000)])).toEqual([])
  expect(rules([signIn('t1', 0), lost, look('t1', 5_000, refused)])).toEqual([])
})

test('effect after its end: a write whose body was sent after the end was answered, in a fault too', () => {
  const write = (start: number, sentAt: number, more: Partial<Operation> = {}): Operation => ({
    ...base,
    kind: 'write',
    token: 't1',
    start,
    sentAt,
    end: sentAt + 10,
    ...more,
  })
  const life = [signIn('t1', 0), signOut('t1', 100)]
  expect(rules([...life, write(50, 111)])).toEqual(['effect after its end'])
  expect(rules([...life, write(50, 111)], [fault])).toEqual(['effect after its end'])
  // Sent while the end was under way: either may have come first.
  expect(rules([...life, write(50, 105)])).toEqual([])
  expect(rules([...life, write(50, 111, refused)])).toEqual([])
  // A write ends nothing, so it is no reason to refuse.
  const other = [signIn('t1', 0), write(20, 30), look('t1', 60, refused)]
  expect(rules(other)).toEqual(['refused without a reason'])
})

test('refused without a reason', () => {
  expect(rules([signIn('t1', 0), look('t1', 50, refused), signOut('t1', 500)])).toEqual([
    'refused without a reason',
  ])
  expect(rules([signIn('t1', 0), look('t1', 50, { outcome: 'unavailable' })])).toEqual([])
})

test('of two sign-ins that overlap, either may have ended the other', () => {
  const both = [signIn('t1', 0, { end: 60 }), signIn('t2', 10, { end: 50 })]
  expect(rules([...both, look('t1', 500), look('t2', 500, refused)])).toEqual([])
  expect(rules([...both, look('t2', 500), look('t1', 500, refused)])).toEqual([])
})

test('two sign-ins with one code, a wrong answer, and none at all', () => {
  const code = { code: 'a:1' }
  expect(rules([signIn('t1', 0, code), signIn('t2', 1, code)])).toEqual(['two sign-ins with one code'])
  expect(rules([signIn('t1', 0, code), signIn(null, 1, { ...code, ...refused })])).toEqual([])
  expect(rules([signIn(null, 0, { outcome: 'wrong', answer: '500' })])).toEqual([
    'answer that nobody should see',
  ])
  expect(rules([signIn(null, 0, { outcome: 'unknown', end: 20_000 })])).toEqual(['no answer in time'])
})

test('a time in which nothing was broken has the strict bound', () => {
  const late = [signIn('t1', 0), signOut('t1', 100), look('t1', 400)]
  expect(rules(late, [{ ...fault, isCalm: true }])).toEqual(['accepted after its end'])
})

test('a fault that must have an effect, and has none, did not happen', () => {
  const felt = { ...fault, isFelt: true }
  expect(rules([signIn('t1', 10), look('t1', 100)], [felt])).toEqual(['nobody felt it'])
  expect(rules([signIn('t1', 10), look('t1', 100, { outcome: 'unavailable' })], [felt])).toEqual([])
  expect(rules([signIn(null, 10, { outcome: 'unknown' })], [felt])).toEqual([])
  expect(rules([signIn(null, -10, { outcome: 'unknown', end: 10 })], [felt])).toEqual([])
  expect(rules([look('t1', 6_000, { outcome: 'unavailable' })], [felt])).toEqual(['nobody felt it'])
})

test('after a fault a sign-in succeeds on each server', () => {
  const servers = ['s1', 's2']
  const on = (server: string, start: number) => signIn(`t-${server}`, start, { server, account: server })
  expect(rules([on('s1', 4_100), on('s2', 4_200)], [fault], servers)).toEqual([])
  expect(rules([on('s1', 4_100), on('s2', 3_900)], [fault], servers)).toEqual(['not well again'])
  expect(rules([on('s1', 4_100)], [fault], servers)).toEqual(['not well again'])
  expect(
    rules([on('s1', 4_100), signIn(null, 4_200, { server: 's2', outcome: 'wrong' })], [fault], servers),
  ).toEqual(['answer that nobody should see', 'not well again'])
})

test('a clock that jumps excuses no refusal of a token, and that of a code needs no excuse', () => {
  const jump = { ...fault, name: 'the clock of one server jumps an hour ahead' }
  expect(rules([signIn('t1', 0), look('t1', 50, refused)], [jump])).toEqual(['refused without a reason'])
  expect(rules([signIn(null, 0, { ...refused, code: 'a:1' })], [jump])).toEqual([])
})

test('more tries than the table allows: of one caller, within the time that it has to wait', () => {
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
  expect(rules([...five, guess(5)])).toEqual(['more tries than the table allows'])
  expect(rules([signIn('t1', 0), ...five, look('t1', 500)])).toEqual([])
})

describe('a sign-in that is repeated with its key', () => {
  const token = (session: string, secret: string) => `hf_${session.padEnd(22, '-')}${secret}`
  const [s1a, s1b, s2] = [token('s1', 'a'), token('s1', 'b'), token('s2', 'c')]
  const key = { key: 'k' }

  test('gets another token for its session, and the earlier one is over', () => {
    const repeated = [signIn(s1a, 0, key), signIn(s1b, 20, key)]
    expect(rules([...repeated, look(s1b, 40), look(s1a, 50, refused)])).toEqual([])
    expect(rules([...repeated, look(s1a, 400)])).toEqual(['accepted after its end'])
    expect(rules([signIn(s1a, 0, { ...key, code: 'c' }), signIn(s1b, 20, { ...key, code: 'c' })])).toEqual([])
  })

  test('takes no token over that was accepted, in a fault neither', () => {
    const used = [signIn(s1a, 0, key), look(s1a, 20), signIn(s1b, 40, key)]
    expect(rules([...used, look(s1b, 60)], [fault])).toEqual(['a used token was taken over'])
    // Whichever came first inside the server.
    const both = [signIn(s1a, 0, { ...key, end: 60 }), signIn(s1b, 0, { ...key, end: 50 })]
    expect(rules([...both, look(s1a, 70), look(s1b, 80)], [fault])).toEqual(['a used token was taken over'])
    expect(rules([...both, signOut(s1a, 70), look(s1b, 90)], [fault])).toEqual([
      'a used token was taken over',
    ])
    // A password, after the first use: another sign-in.
    expect(rules([signIn(s1a, 0, key), look(s1a, 20), signIn(s2, 40, key), look(s2, 60)])).toEqual([])
  })

  test('is made once: another session would replace a second one', () => {
    expect(rules([signIn(s1a, 0, key), signIn(s2, 20, key)], [fault])).toEqual(['a sign-in was made twice'])
    expect(rules([signIn(s1a, 0, key), signIn(s2, 20, { key: 'other' })])).toEqual([])
    // The clock that it asked says that two minutes have passed.
    expect(rules([signIn(s1a, 0, key), signIn(s2, 20, key)], [{ ...fault, movesClock: true }])).toEqual([])
  })

  test('is not refused while its token was not used', () => {
    const no = { ...key, ...refused }
    expect(rules([signIn(s1a, 0, key), signIn(null, 20, no)])).toEqual(['a repeat was refused'])
    expect(rules([signIn(s1a, 0, key), look(s1a, 15), signIn(null, 20, no)])).toEqual([])
    // It may have come before the one that was answered first.
    expect(rules([signIn(s1a, 0, key), signIn(null, 5, no)])).toEqual([])
  })
})
