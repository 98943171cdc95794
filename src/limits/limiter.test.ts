// Each limit of the table on its own: it stops an attack that varies everything else, and no other caller.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { codeCheck } from '../authentication/methods/code.ts'
import { signInChecks } from '../authentication/methods/methods.ts'
import { passwordCheck } from '../authentication/methods/password.ts'
import { ManualClock } from '../clock.ts'
import { AppError } from '../errors.ts'
import { inClass } from '../queue-order.ts'
import { Limiter } from './limiter.ts'
import {
  type Action,
  type Check,
  type CountedBy,
  type Limit,
  limitsWith,
  type SessionWrite,
} from './limits.ts'
import type { ConsumeOptions, ConsumeResult, CounterRequest } from './store.ts'
import { MemoryLimitStore } from './store-memory.ts'
import { addressBlock, type LimitSubject } from './subjects.ts'

const checks = signInChecks
const table = limitsWith({ checks, smsDailyBudget: 400 })
const sharedBy: readonly CountedBy[] = ['number', 'prefix', 'server']
const minute = 60_000
const day = 86_400_000

function newLimiter(limits: readonly Limit[] = table) {
  const clock = new ManualClock()
  return { clock, limiter: new Limiter({ store: new MemoryLimitStore({ clock }), limits }) }
}

/** Caller number `i`. All of them share only the `fixed` members. */
function person(i: number, fixed: Partial<LimitSubject> = {}): LimitSubject {
  return {
    phoneNumber: `+861${3_000_000 + i * 37}${String(i % 1000).padStart(3, '0')}`,
    address: `${1 + Math.floor(i / 62_500)}.${Math.floor(i / 250) % 250}.${i % 250}.1`,
    deviceId: `device-${i}`,
    accountId: `account-${i}`,
    sessionId: `session-${i}`,
    proof: null,
    ...fixed,
  }
}

const number = '+8613800005223'
const at = '203.0.113.7'

/** Subjects of new callers, which share only what this limit counts by. */
function attacker(by: CountedBy, i: number): LimitSubject {
  switch (by) {
    case 'proof':
      return person(i, { proof: 'proof' })
    case 'caller':
      return person(i, { phoneNumber: number, address: at })
    case 'address':
      return person(i, { address: at })
    case 'network':
      return person(i, { address: `203.0.113.${i % 256}` })
    case 'device':
      return person(i, { deviceId: 'install-1', address: at })
    case 'account':
      return person(i, { accountId: 'account' })
    case 'session':
      return person(i, { sessionId: 'session' })
    case 'number':
      return person(i, { phoneNumber: number })
    case 'prefix':
      return person(i, { phoneNumber: `+861380000${String(i).padStart(4, '0')}` })
    // All these numbers are in one country.
    case 'country':
    case 'server':
      return person(i)
  }
}

const checkOf = (action: Action): Check | null => checks.find((check) => check.action === action) ?? null

function isWrite(action: Action): action is SessionWrite {
  return action !== 'refused' && action !== 'send_code' && !action.startsWith('check_')
}

/** The answer of the caller's own counters: 'allowed', or the refusal. */
async function own(limiter: Limiter, action: Action, subject: LimitSubject) {
  const { accountId, sessionId = '' } = subject
  const check = checkOf(action)
  try {
    if (action === 'send_code') await limiter.requestCode(subject)
    else if (check) await limiter.attempt(check, subject)
    else if (isWrite(action)) await limiter.countWrite(action, { accountId: accountId ?? '', sessionId })
    else expect.fail('it is counted, not asked for')
    return 'allowed'
  } catch (error) {
    return error
  }
}

/** The answer of the shared counters to a caller that its own counters allow. */
async function shared(limiter: Limiter, action: Action, subject: LimitSubject, isReal = true) {
  if (action === 'send_code')
    return await (await limiter.requestCode(subject)).consumeMessage('without_account')
  const check = checkOf(action) ?? expect.fail('nothing is shared')
  return await (await limiter.attempt(check, subject)).guess.count(isReal)
}

const refused = (seconds: unknown = expect.any(Number)) =>
  expect.objectContaining({ code: 'rate_limited', facts: { retryAfterSeconds: seconds } })

/** All other limits, without the other windows of the same counter, which would be reached first. */
function beside(limit: Limit): Limit[] {
  const { backoff: _, ...plain } = limit
  return table.flatMap((other) => {
    if (other === limit) return [plain]
    return other.by === limit.by && other.action === limit.action ? [] : [other]
  })
}

/**
 * Spreads attempts over most of the window, so that shorter windows of other counters are not reached first.
 */
async function attack(limit: Limit, ask: typeof own | typeof shared) {
  const { limiter, clock } = newLimiter(beside(limit))
  for (let i = 0; ; i++) {
    const answer = await ask(limiter, limit.action, attacker(limit.by, i))
    const isAllowed = answer === 'allowed'
    if (!isAllowed || i > limit.max) return { allowed: i, answer, limiter, clock }
    clock.advance((limit.perSeconds * 900) / limit.max)
  }
}

const ofCaller = table.filter(
  ({ by, callers, action }) => !sharedBy.includes(by) && callers !== 'with_proof' && action !== 'refused',
)
const ofAll = table.filter(({ by }) => sharedBy.includes(by))

describe.each(ofCaller)('$action by $by ($counts): $max in $perSeconds s', (limit) => {
  test('stops a caller that varies everything else, and no other caller', async () => {
    const { allowed, answer, limiter } = await attack(limit, own)
    expect(allowed).toBe(limit.max)
    expect(answer).toEqual(refused())
    expect(await own(limiter, limit.action, person(40_000))).toBe('allowed')
  })

  test('states the wait, which does not depend on other callers of the network', async () => {
    const { answer, limiter, clock } = await attack(limit, own)
    if (limit.by === 'network') expect(answer).toEqual(refused(600))
    // The test above has checked that it is a refusal.
    const seconds = (answer as { facts: { retryAfterSeconds: number } }).facts.retryAfterSeconds
    expect(seconds).toBeLessThanOrEqual(86_400)
    if (limit.by === 'network' || seconds === 86_400) return
    clock.advance((seconds - 1) * 1000)
    expect(await own(limiter, limit.action, attacker(limit.by, limit.max))).toEqual(refused(1))
    clock.advance(1000)
    expect(await own(limiter, limit.action, attacker(limit.by, limit.max))).toBe('allowed')
  })
})

describe.each(ofAll)('$action by $by of $callers callers ($counts): $max in $perSeconds s', (limit) => {
  const isAll = limit.by === 'server' && limit.callers === 'all'
  const full = limit.action !== 'send_code' ? 'full' : isAll ? 'budget_spent' : 'limit_full'

  test('is full after the allowed attempts, and refuses no caller', async () => {
    const { allowed, answer, limiter } = await attack(limit, shared)
    expect(allowed).toBe(limit.max)
    expect(answer).toBe(full)
    expect(await own(limiter, limit.action, attacker(limit.by, 40_000))).toBe('allowed')
    const stranger = await shared(limiter, limit.action, person(40_001))
    expect(stranger).toBe(limit.by === 'server' ? full : 'allowed')
  })

  test('leaves room for a caller with a device proof, unless all messages of the day are spent', async () => {
    const { limiter } = await attack(limit, shared)
    const owner = { ...attacker(limit.by, 40_000), proof: 'of the owner' }
    const decision = await shared(limiter, limit.action, owner)
    const isAllSpent = limit.by === 'server' && limit.callers === 'all'
    expect(decision).toBe(isAllSpent ? 'budget_spent' : limit.action === 'send_code' ? 'allowed' : 'reserved')
  })
})

test('no counter has two windows of one length', () => {
  const names = table.map(
    ({ action, by, callers, counts, perSeconds }) => `${action} ${by} ${callers} ${counts} ${perSeconds}`,
  )
  expect(new Set(names).size).toBe(names.length)
})

test('no counter counts for longer than a month', () => {
  for (const { perSeconds } of table) expect(perSeconds).toBeLessThanOrEqual(30 * 86_400)
})

describe('asking for codes', () => {
  const subject = person(1)

  test('one caller waits 60 s, 120 s, then until its window has room', async () => {
    const { limiter, clock } = newLimiter()
    const nexts: number[] = []
    for (let i = 0; i < 5; i++) {
      const { resendInSeconds } = await limiter.requestCode({ ...subject, deviceId: null })
      nexts.push(resendInSeconds)
      clock.advance((resendInSeconds - 1) * 1000)
      expect(await own(limiter, 'send_code', { ...subject, deviceId: null })).toEqual(refused(1))
      clock.advance(1000)
    }
    expect(nexts.slice(0, 2)).toEqual([60, 120])
    // Three in ten minutes: the fourth is possible ten minutes after the first, plus a slot of ten seconds at
    // most.
    expect(nexts[2]).toBeGreaterThanOrEqual(300)
    expect(nexts[2]).toBeLessThanOrEqual(430)
    expect(nexts[3]).toBe(900)
    expect(nexts[4]).toBeGreaterThan(900)
  })

  test('the response does not depend on what other callers did with the same number', async () => {
    const [quiet, busy] = [newLimiter(), newLimiter()]
    for (let i = 0; i < 50; i++) await shared(busy.limiter, 'send_code', person(i, { phoneNumber: number }))
    const told = async ({ limiter, clock }: typeof quiet) => {
      const answers: unknown[] = []
      for (let i = 0; i < 12; i++) {
        const mine = person(900, { phoneNumber: number })
        const asked = await limiter.requestCode(mine).catch((error: unknown) => error)
        answers.push('resendInSeconds' in Object(asked) ? Object(asked).resendInSeconds : asked)
        clock.advance(40_000)
      }
      return answers
    }
    expect(await told(busy)).toEqual(await told(quiet))
  })

  test('requests that the wait of a number refuses do not count for the address', async () => {
    const { limiter } = newLimiter()
    expect(await own(limiter, 'send_code', person(0, { address: at }))).toBe('allowed')
    for (let i = 0; i < 4; i++)
      expect(await own(limiter, 'send_code', person(0, { address: at }))).toEqual(refused(60))
    for (let i = 1; i < 5; i++)
      expect(await own(limiter, 'send_code', person(i, { address: at }))).toBe('allowed')
    expect(await own(limiter, 'send_code', person(5, { address: at }))).toEqual(refused())
  })

  test('an address with 120 refused requests in ten minutes is refused at once', async () => {
    const { limiter, clock } = newLimiter()
    const tap = () => own(limiter, 'send_code', person(0, { address: at }))
    await tap()
    for (let i = 0; i < 120; i++) expect(await tap()).toEqual(refused(60))
    clock.advance(minute)
    for (const action of ['send_code', 'check_code', 'check_password'] as const) {
      expect(await own(limiter, action, person(1, { address: at }))).toEqual(refused())
      expect(await own(limiter, action, person(1, { address: at, proof: 'mine' }))).toBe('allowed')
      expect(await own(limiter, action, person(1))).toBe('allowed')
    }
    clock.advance(10 * minute)
    expect(await own(limiter, 'send_code', person(1, { address: at }))).toBe('allowed')
  })

  test('each caller can have a message sent at least every four hours', async () => {
    const { limiter, clock } = newLimiter()
    const sentAt: number[] = []
    for (let i = 0; i < 3 * 24 * 60; i++) {
      const answer = await shared(limiter, 'send_code', person(i, { phoneNumber: number }))
      if (answer === 'allowed') sentAt.push(clock.now())
      clock.advance(minute)
    }
    const gaps = sentAt.slice(1).map((time, i) => time - (sentAt[i] ?? 0))
    expect(Math.max(...gaps)).toBeLessThanOrEqual(4 * 60 * minute)
    for (let i = 0; i < sentAt.length; i++) {
      const inADay = sentAt.filter((time) => time >= (sentAt[i] ?? 0) && time < (sentAt[i] ?? 0) + day)
      expect(inADay.length).toBeLessThanOrEqual(10)
    }
  })

  test('neither an unsent message nor an error of the server counts', async () => {
    const { limiter, clock } = newLimiter(limitsWith({ checks, smsDailyBudget: 1 }))
    for (let i = 0; i < 20; i++) {
      const asked = await limiter.requestCode(person(0, { address: at, phoneNumber: number }))
      expect(await asked.consumeMessage('without_account')).toBe('allowed')
      await asked.refundMessage()
      await asked.refundRequest()
      clock.advance(minute)
    }
    expect(await shared(limiter, 'send_code', person(1))).toBe('allowed')
    expect(await shared(limiter, 'send_code', person(2))).toBe('budget_spent')
  })

  test('a message that was not sent leaves its place in the prefix, in the country and in the parts of the budget', async () => {
    for (const limits of [
      table,
      limitsWith({ checks, smsDailyBudget: 400, smsCountries: new Map([['CN', 4]]) }),
      limitsWith({ checks, smsDailyBudget: 4 }),
    ]) {
      const { limiter } = newLimiter(limits)
      for (let i = 0; i < 30; i++) {
        const asked = await limiter.requestCode(attacker('prefix', i))
        expect(await asked.consumeMessage('without_account')).toBe('allowed')
        await asked.refundMessage()
      }
    }
  })

  test('a prefix neither counts nor stops messages to owners of accounts', async () => {
    const { limiter } = newLimiter()
    for (let i = 0; i < 25; i++) {
      const asked = await limiter.requestCode(attacker('prefix', i))
      expect(await asked.consumeMessage('owner')).toBe('allowed')
    }
    for (let i = 30; i < 50; i++)
      expect(await shared(limiter, 'send_code', attacker('prefix', i))).toBe('allowed')
    expect(await shared(limiter, 'send_code', attacker('prefix', 50))).toBe('limit_full')
    const asked = await limiter.requestCode(attacker('prefix', 51))
    expect(await asked.consumeMessage('owner')).toBe('allowed')
  })

  test('attacks on numbers without an account, and on owners, leave messages for others', async () => {
    const { limiter } = newLimiter(limitsWith({ checks, smsDailyBudget: 80 }))
    const send = async (i: number, to: 'owner' | 'without_account', proof: string | null = null) =>
      await (await limiter.requestCode(person(i, { proof }))).consumeMessage(to)
    const allowed = async (from: number, to: 'owner' | 'without_account', proof?: string) => {
      let count = 0
      for (let i = 0; i < 100; i++)
        if ((await send(from + i, to, proof && `${proof}${i}`)) === 'allowed') count++
      return count
    }
    expect(await allowed(0, 'without_account')).toBe(60)
    expect(await allowed(100, 'owner')).toBe(10)
    expect(await send(250, 'owner')).toBe('limit_full')
    expect(await allowed(300, 'owner', 'proof')).toBe(10)
    expect(await send(450, 'without_account')).toBe('budget_spent')
  })

  test('a message without a recipient counts nowhere', async () => {
    const { limiter } = newLimiter(limitsWith({ checks, smsDailyBudget: 1 }))
    for (let i = 0; i < 30; i++) {
      const asked = await limiter.requestCode(person(i, { phoneNumber: number }))
      await asked.consumeMessage('none')
    }
    expect(await shared(limiter, 'send_code', person(40, { phoneNumber: number }))).toBe('allowed')
  })

  test('unknown addresses share one counter', async () => {
    const { limiter } = newLimiter()
    const answers = []
    for (let i = 0; i < 6; i++) answers.push(await own(limiter, 'send_code', person(i, { address: null })))
    expect(answers.slice(0, 5)).toEqual(Array(5).fill('allowed'))
    expect(answers[5]).toEqual(refused())
  })

  test('a caller with the device id of another address uses up none of its allowance', async () => {
    const { limiter } = newLimiter()
    for (const action of ['send_code', 'check_code', 'check_password'] as const) {
      for (let i = 0; i < 200; i++) await own(limiter, action, person(i, { deviceId: 'install-1' }))
      expect(await own(limiter, action, person(900, { deviceId: 'install-1' }))).toBe('allowed')
    }
  })

  test('without a device id the other limits apply', async () => {
    const { limiter } = newLimiter()
    for (let i = 0; i < 5; i++) {
      const one = person(i, { deviceId: null, address: at })
      expect(await own(limiter, 'send_code', one)).toBe('allowed')
    }
    const sixth = person(6, { deviceId: null, address: at })
    expect(await own(limiter, 'send_code', sixth)).toEqual(refused())
  })

  test('an IPv6 /64 is one address, and IPv4 in IPv6 is IPv4', async () => {
    const { limiter } = newLimiter()
    for (let i = 0; i < 5; i++) {
      await limiter.requestCode(person(i, { address: `2001:db8:1:2:${i}::1` }))
      await limiter.requestCode(person(100 + i, { address: at }))
    }
    const answers = await Promise.all(
      ['2001:db8:1:2:ffff::9', '2001:db8:1:3::1', '::ffff:203.0.113.7', '::ffff:cb00:7107'].map(
        (address, i) => own(limiter, 'send_code', person(200 + i, { address })),
      ),
    )
    expect(answers).toEqual([refused(), 'allowed', refused(), refused()])
    expect(addressBlock('2001:db8:1:2::', 32, 64)).toBe('2001:db8:1:2::')
  })

  test('a daily budget of 0 sends nothing', async () => {
    const { limiter } = newLimiter(limitsWith({ checks, smsDailyBudget: 0 }))
    expect(await shared(limiter, 'send_code', subject)).toBe('budget_spent')
    expect(await shared(limiter, 'send_code', { ...subject, proof: 'mine' })).toBe('budget_spent')
  })
})

describe.each(checks)('wrong guesses of $action', (check) => {
  const method = check.action
  const other = method === 'check_code' ? 'check_password' : 'check_code'
  const mine = person(0, { phoneNumber: number, address: at })
  /** Only the limits of consecutive failures, so that the caller reaches the last one. */
  const inARow = table.filter(({ counts }) => counts === 'in_a_row')
  const anybody = (i: number) => person(i, { phoneNumber: number })
  /** A client that signs in has no session yet, and this one sends no device id. */
  const { sessionId: _, ...signingIn } = { ...mine, deviceId: null }

  test('five cause no wait, then the wait doubles up to 15 minutes', async () => {
    const { limiter, clock } = newLimiter(inARow)
    const delays: number[] = []
    for (let i = 0; i < 10; i++) {
      const refusal = await own(limiter, method, mine)
      if (refusal === 'allowed') continue
      // If a refusal of another kind has occurred, the comparison below fails.
      const { retryAfterSeconds } = (refusal as { facts: { retryAfterSeconds: number } }).facts
      delays.push(i, retryAfterSeconds)
      clock.advance((retryAfterSeconds - 1) * 1000)
      expect(await own(limiter, method, mine)).toEqual(refused(1))
      clock.advance(1000)
      expect(await own(limiter, method, mine)).toBe('allowed')
    }
    expect(delays).toEqual([5, 30, 6, 60, 7, 120, 8, 240, 9, 480])
  })

  test('of 64 parallel ones, five are compared', async () => {
    const { limiter } = newLimiter()
    const all = await Promise.all(Array.from({ length: 64 }, () => own(limiter, method, mine)))
    expect(all.filter((one) => one === 'allowed')).toHaveLength(5)
  })

  test('2,000 guesses at nothing change nothing for any caller', async () => {
    const { limiter } = newLimiter()
    for (let i = 0; i < 2_100; i++) await shared(limiter, method, person(i), false)
    for (let i = 0; i < 100; i++) await shared(limiter, method, anybody(i), false)
    expect(await shared(limiter, method, anybody(5_000))).toBe('allowed')
    expect(await shared(limiter, method, person(5_001))).toBe('allowed')
  })

  test('the responses are the same whether there is something to guess or not', async () => {
    const [real, none] = [newLimiter(), newLimiter()]
    for (let i = 1; i < 200; i++) {
      await shared(real.limiter, method, anybody(i), true)
      await shared(none.limiter, method, anybody(i), false)
    }
    for (let i = 0; i < 40; i++) {
      const seen = await Promise.all(
        [real, none].map(async ({ limiter }, j) => {
          const attempt = await limiter.attempt(check, mine).catch((error: unknown) => error)
          if (attempt instanceof Error) return attempt
          await (attempt as Awaited<ReturnType<Limiter['attempt']>>).guess.count(j === 0)
          return 'allowed'
        }),
      )
      expect(seen[0]).toEqual(seen[1])
      for (const { clock } of [real, none]) clock.advance(20_000)
    }
  })

  test('a botnet that fills one method of a number affects no other method or number', async () => {
    const { limiter, clock } = newLimiter()
    let counted = 0
    for (let i = 0; i < 30 * 24 * 4; i++) {
      if ((await shared(limiter, method, anybody(i))) === 'allowed') counted++
      clock.advance(15 * minute)
    }
    expect(counted).toBe(30)
    expect(await shared(limiter, other, anybody(9_000))).toBe('allowed')
    expect(await shared(limiter, method, person(9_001))).toBe('allowed')
    expect(await shared(limiter, method, { ...anybody(9_002), proof: 'mine' })).toBe('reserved')
  })

  test('a success forgets those of the caller; an attempt without a comparison does not count', async () => {
    const { limiter } = newLimiter()
    for (let i = 0; i < 4; i++) await limiter.attempt(check, mine)
    await (await limiter.attempt(check, mine)).succeeded()
    for (let i = 5; i < 9; i++) await limiter.attempt(check, mine)
    for (let i = 9; i < 15; i++) await (await limiter.attempt(check, mine)).cancel()
    expect(await own(limiter, method, mine)).toBe('allowed')
    expect(await own(limiter, method, mine)).toEqual(refused(30))
  })

  test('a wrong one stays counted where something else fails afterwards, a right one does not', async () => {
    const { limiter } = newLimiter()
    const guesser = person(0, { phoneNumber: number, address: at })
    const failing = (isWrong: boolean) =>
      limiter.withLimit(check, guesser, async (guess) => {
        await guess.count(true)
        guess.isWrong = isWrong
        throw new AppError('unavailable', { retryAfterSeconds: 1 })
      })
    for (let i = 0; i < 20; i++) await expect(failing(false)).rejects.toMatchObject({ code: 'unavailable' })
    for (let i = 0; i < 5; i++) await expect(failing(true)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(failing(true)).rejects.toMatchObject({ code: 'rate_limited' })
  })

  test('a correct guess is refunded at the number as well', async () => {
    const { limiter } = newLimiter()
    for (let i = 0; i < 50; i++) {
      const attempt = await limiter.attempt(check, anybody(i))
      expect(await attempt.guess.count(true)).toBe('allowed')
      await attempt.succeeded()
      await attempt.cancel()
    }
  })

  test('a second comparison in the same attempt does not count as a second guess', async () => {
    const { limiter } = newLimiter()
    const aDay = check.perDay.number
    for (let i = 0; i < aDay; i++) {
      const { guess } = await limiter.attempt(check, anybody(i))
      expect(await guess.count(true)).toBe('allowed')
      expect(await guess.count(true)).toBe('allowed')
    }
    expect(await shared(limiter, method, anybody(aDay))).toBe('full')
  })

  test('a stolen proof allows 30 guesses a month, with waits, and is then ignored', async () => {
    const { limiter, clock } = newLimiter()
    const thief = { ...mine, proof: 'stolen' }
    let reserved = 0
    for (let i = 0; i < 30 * 24 * 2; i++) {
      const decision = await shared(limiter, method, { ...thief, address: `198.51.${i % 250}.1` }).catch(
        () => null,
      )
      if (decision === 'reserved') reserved++
      clock.advance(30 * minute)
    }
    expect(reserved).toBe(30)
    expect(await shared(limiter, method, { ...mine, proof: 'of the owner' })).toBe('reserved')
  })

  test('a proof allows 100 correct attempts an hour and 500 a day, and is then ignored', async () => {
    const { limiter, clock } = newLimiter()
    const rightOnes = async (i: number) => {
      let reserved = 0
      for (let taken = 0; taken < 200; taken++) {
        const address = `198.${i}.${taken}.1`
        const attempt = await limiter.attempt(check, { ...signingIn, address, proof: 'copied' })
        if ((await attempt.guess.count(true)) === 'reserved') reserved++
        await attempt.succeeded()
      }
      return reserved
    }
    const perHour = []
    for (let i = 0; i < 7; i++) {
      perHour.push(await rightOnes(i))
      clock.advance(62 * minute)
    }
    expect(perHour).toEqual([100, 100, 100, 100, 100, 0, 0])
    expect(await shared(limiter, method, { ...mine, proof: 'another' })).toBe('reserved')
    expect(await shared(limiter, other, { ...mine, proof: 'copied' })).toBe('reserved')
  })

  test('the holder of a copied proof cannot lock the owner out', async () => {
    const { limiter, clock } = newLimiter()
    const holder = { ...signingIn, proof: 'copied' }
    for (let second = 0; second < 3 * 3_600; second += 10) {
      const address = `198.51.${(second / 10) % 250}.1`
      await (await limiter.attempt(check, { ...holder, address })).succeeded()
      clock.advance(10_000)
      if (second % 600 !== 0) continue
      const signIn = await limiter.attempt(check, holder)
      expect(await signIn.guess.count(true)).not.toBe('full')
      await signIn.succeeded()
    }
  })

  test('a client with a new proof at each sign-in has 300 attempts an hour', async () => {
    const { limiter } = newLimiter()
    const decision = []
    for (let i = 0; i < 350; i++) {
      const attempt = await limiter.attempt(check, { ...signingIn, proof: `proof ${i}` })
      decision.push(await attempt.guess.count(true))
      await attempt.succeeded()
    }
    expect(decision.lastIndexOf('reserved')).toBe(299)
    expect(decision.indexOf('allowed')).toBe(300)
    expect(await shared(limiter, method, person(7, { phoneNumber: number, proof: 'proof' }))).toBe('reserved')
    expect(await shared(limiter, method, person(8, { address: at, proof: 'proof' }))).toBe('reserved')
  })

  test('an unlock resets the number, and lifts the waits of each caller', async () => {
    const { limiter, clock } = newLimiter()
    for (let i = 1; i < 20; i++) await shared(limiter, method, anybody(i))
    for (let i = 0; i < 6; i++) await own(limiter, method, mine)
    expect(await own(limiter, method, mine)).toEqual(refused(30))
    await limiter.resetNumber(number)
    expect(await shared(limiter, method, mine)).toBe('allowed')
    clock.advance(20 * minute)
    for (let i = 0; i < 6; i++) await own(limiter, method, mine)
    expect(await own(limiter, method, mine)).toEqual(refused())
  })
})

test('in memory, a flood of tries at other numbers resets no count of wrong guesses at an account', async () => {
  const limiter = new Limiter({
    store: new MemoryLimitStore({ clock: new ManualClock(), max: 500 }),
    limits: table,
  })
  let callers = 0
  const guess = (fixed: Partial<LimitSubject>, isReal: boolean) => {
    // A counter of a session needs a session, which a flood cannot make up.
    const { sessionId: _, ...stranger } = person(callers++, fixed)
    return shared(limiter, 'check_password', stranger, isReal)
  }
  for (let i = 0; i < 15; i++) expect(await guess({ phoneNumber: number }, true)).toBe('allowed')
  for (let i = 0; i < 500; i++) expect(await guess({}, false)).toBe('allowed')
  expect(await guess({ phoneNumber: number }, true)).toBe('full')
})

test('while a number is full, two correct codes of a caller count, and one code twice does not', async () => {
  const { limiter, clock } = newLimiter()
  const guessOf = async (subject: LimitSubject) => (await limiter.attempt(codeCheck, subject)).guess
  const [mine, thief] = [person(1, { phoneNumber: number }), person(2, { phoneNumber: number })]
  expect(await (await guessOf(mine)).isSecondCorrectCode('first', true)).toBe(false)
  expect(await (await guessOf(mine)).isSecondCorrectCode('first', true)).toBe(false)
  expect(await (await guessOf(thief)).isSecondCorrectCode('second', true)).toBe(false)
  clock.advance(4 * 60 * minute)
  expect(await (await guessOf(mine)).isSecondCorrectCode('second', true)).toBe(true)
  clock.advance(9 * 60 * minute)
  expect(await (await guessOf(mine)).isSecondCorrectCode('third', true)).toBe(false)
})

test('writes of sessions are counted ahead of callers without a proof; two kinds need no counters', async () => {
  const options: (ConsumeOptions | undefined)[] = []
  const store = Object.assign(new MemoryLimitStore({ clock: new ManualClock() }), {
    consumeAll: async (_buckets: readonly CounterRequest[], given?: ConsumeOptions): Promise<never> => {
      options.push(given)
      throw new AppError('overloaded', { retryAfterSeconds: 1 })
    },
  })
  const limiter = new Limiter({ store, limits: table })
  const writer = { accountId: 'a', sessionId: 's' }
  await limiter.countWrite('end_session', writer)
  await limiter.countWrite('rotate_token', writer)
  await expect(limiter.countWrite('change_profile', writer)).rejects.toMatchObject({ code: 'overloaded' })
  expect(options).toEqual(Array(3).fill({ reserved: true }))
})

describe.each(['check_code', 'send_code'] as const)('a bounded number of %s is in progress', (action) => {
  /** A limiter, how many have reached its counters, and how to let those go on. */
  function stalled() {
    const reached: (() => void)[] = []
    const waitForGo = async (): Promise<ConsumeResult[]> => {
      await new Promise<void>((resolve) => reached.push(resolve))
      return []
    }
    const store = Object.assign(new MemoryLimitStore({ clock: new ManualClock() }), {
      peek: async () => 0,
      consumeAll: waitForGo,
    })
    const limiter = new Limiter({ store, limits: table, inProgressMax: 15 })
    const ask = (i: number, fixed: Partial<LimitSubject> = {}) =>
      inClass('changing', () =>
        action === 'send_code'
          ? limiter.requestCode(person(i, fixed))
          : limiter.withLimit(codeCheck, person(i, fixed), async () => {
              throw new AppError('unavailable', { retryAfterSeconds: 1 })
            }),
      ).then(
        () => 'done',
        (error: AppError) => error.code,
      )
    const settle = async () => {
      for (let i = 0; i < 50; i++) await Promise.resolve()
    }
    return { ask, reached, settle }
  }

  afterEach(() => void vi.useRealTimers())

  test('the others have cost no count; whatever the end of one, the next has its turn, with a proof first', async () => {
    const { ask, reached, settle } = stalled()
    const all = Array.from({ length: 20 }, (_, i) => ask(i))
    const ended: string[] = []
    const known = ask(20, { proof: 'proof' }).then(() => ended.push('with a proof'))
    const last = all[15]?.then(() => ended.push('without one'))
    await settle()
    expect(reached).toHaveLength(15)
    reached.shift()?.()
    await settle()
    expect(reached).toHaveLength(15)
    reached.pop()?.()
    await known
    while (reached.length > 0) {
      reached.shift()?.()
      await settle()
    }
    await last
    expect(ended).toEqual(['with a proof', 'without one'])
    expect(new Set(await Promise.all(all))).toEqual(
      new Set([action === 'send_code' ? 'done' : 'unavailable']),
    )
  })

  test('above 1,000 that wait, one is refused at once; the others are refused after two seconds', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { ask, reached, settle } = stalled()
    const all = Array.from({ length: 1_015 }, (_, i) => ask(i))
    await settle()
    expect(await ask(1_015)).toBe('overloaded')
    expect(reached).toHaveLength(15)
    vi.advanceTimersByTime(2_000)
    expect(new Set(await Promise.all(all.slice(15)))).toEqual(new Set(['overloaded']))
    expect(reached).toHaveLength(15)
  })
})

test('an attempt can leave its place once, before it ends', async () => {
  const store = new MemoryLimitStore({ clock: new ManualClock() })
  const limiter = new Limiter({ store, limits: table, inProgressMax: 1 })
  const { promise, resolve } = Promise.withResolvers<void>()
  const begun: number[] = []
  const attempt = (i: number, leaves: boolean) =>
    limiter.withLimit(codeCheck, person(i), async (_guess, leave) => {
      begun.push(i)
      if (leaves) leave()
      await promise
    })
  const all = [attempt(1, true), attempt(2, false), attempt(3, false)]
  await expect.poll(() => begun).toEqual([1, 2])
  resolve()
  await Promise.all(all)
  expect(begun).toEqual([1, 2, 3])
})

test('attempts with a queue of their own are not bounded here', async () => {
  let reached = 0
  const store = Object.assign(new MemoryLimitStore({ clock: new ManualClock() }), {
    consumeAll: async (): Promise<never> => {
      reached++
      return await new Promise(() => {})
    },
  })
  const limiter = new Limiter({ store, limits: table, inProgressMax: 15 })
  for (let i = 0; i < 100; i++) void limiter.withLimit(passwordCheck, person(i), async () => {})
  for (let i = 0; i < 50; i++) await Promise.resolve()
  expect(reached).toBe(100)
})

test('without limits nothing is refused', async () => {
  const { limiter } = newLimiter([])
  for (let i = 0; i < 500; i++) {
    expect(await shared(limiter, 'check_password', person(1))).toBe('allowed')
    expect(await limiter.requestCode(person(1))).toMatchObject({ resendInSeconds: 0 })
  }
})

test('a message that was not sent causes no wait', async () => {
  const { limiter, clock } = newLimiter()
  const messageOf = async (i: number) => {
    const request = await limiter.requestCode(person(i, { phoneNumber: number }))
    return { request, decision: await request.consumeMessage('without_account') }
  }
  expect((await messageOf(1)).decision).toBe('allowed')
  clock.advance(60_000)
  const failed = await messageOf(2)
  expect(failed.decision).toBe('allowed')
  await failed.request.refundMessage()
  expect((await messageOf(3)).decision).toBe('allowed')
  expect((await messageOf(4)).decision).toBe('limit_full')
})

test('an attack on one country leaves messages for accounts and for device proofs', async () => {
  const { limiter, clock } = newLimiter(
    limitsWith({ checks, smsDailyBudget: 400, smsCountries: new Map([['CN', 40]]) }),
  )
  const sweep = async (to: 'without_account' | 'owner', from: number) => {
    let sent = 0
    for (let i = from; i < from + 60; i++) {
      const answer = await (await limiter.requestCode(person(i))).consumeMessage(to)
      if (answer === 'allowed') sent++
      else expect(answer).toBe('limit_full')
      clock.advance(minute)
    }
    return sent
  }
  expect(await sweep('without_account', 0)).toBe(30)
  expect(await sweep('owner', 100)).toBe(5)
  const owner = await limiter.requestCode(person(1, { proof: 'of the owner' }))
  expect(await owner.consumeMessage('owner')).toBe('allowed')
})

test('a check that the table does not list is an error, and is never allowed without limits', async () => {
  const { limiter } = newLimiter(limitsWith({ checks: [codeCheck], smsDailyBudget: 1 }))
  const unlisted: Check = { action: 'check_riddle', perDay: { caller: 3, number: 3 } }
  await expect(limiter.attempt(unlisted, person(1))).rejects.toThrow('no limits of check_riddle')
  expect(await own(limiter, codeCheck.action, person(1))).toBe('allowed')
})
