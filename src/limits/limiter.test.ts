// The whole table on its own: each limit stops an attack that changes everything else, and none stops anybody else.
import { describe, expect, test } from 'vitest'
import { ManualClock } from '../clock.ts'
import { Limiter } from './limiter.ts'
import { type By, type Check, type Limit, limitsWith } from './limits.ts'
import { MemoryLimits } from './store-memory.ts'
import { addressBlock, type Who } from './subjects.ts'

const table = limitsWith({ smsDailyBudget: 400 })
const checks: readonly Check[] = ['check_code', 'check_password']

function newLimiter(limits: readonly Limit[] = table) {
  const clock = new ManualClock()
  return { clock, limiter: new Limiter({ store: new MemoryLimits({ clock }), limits }) }
}

/** The i-th of many people, who have nothing in common, but what is fixed. */
function person(i: number, fixed: Partial<Who> = {}): Who {
  return {
    phoneNumber: `+861${3_000_000 + i * 37}${String(i % 1000).padStart(3, '0')}`,
    address: `${1 + Math.floor(i / 62_500)}.${Math.floor(i / 250) % 250}.${i % 250}.1`,
    deviceId: `device-${i}`,
    accountId: `account-${i}`,
    sessionId: `session-${i}`,
    ...fixed,
  }
}

/** Everything new each time, but what is attacked. */
function attacker(by: By, i: number): Who {
  switch (by) {
    case 'address':
      return person(i, { address: '203.0.113.7' })
    case 'network':
      return person(i, { address: `203.0.113.${i % 256}` })
    case 'device':
      return person(i, { deviceId: 'install-1' })
    case 'account':
      return person(i, { accountId: 'account' })
    case 'session':
      return person(i, { sessionId: 'session' })
    case 'number':
      return person(i, { phoneNumber: '+8613800005223' })
    case 'prefix':
      return person(i, { phoneNumber: `+861380000${String(i).padStart(4, '0')}` })
    case 'server':
      return person(i)
  }
}

async function outcome(limiter: Limiter, action: Limit['action'], who: Who) {
  try {
    if (action === 'send_code') await limiter.spend(action, who)
    else if (action === 'check_code' || action === 'check_password') await limiter.attempt(action, who)
    else await limiter.countWrite(action, { accountId: who.accountId ?? '', sessionId: who.sessionId ?? '' })
    return 'allowed'
  } catch (error) {
    return error
  }
}

const refused = (seconds: unknown = expect.any(Number)) =>
  expect.objectContaining({ code: 'rate_limited', facts: { retryAfterSeconds: seconds } })

/** Tries spread over most of the window, so that the shorter windows of other counters do not come first. */
async function attack(limit: Limit, limits: readonly Limit[]) {
  const { limiter, clock } = newLimiter(limits)
  for (let i = 0; ; i++) {
    const answer = await outcome(limiter, limit.action, attacker(limit.by, i))
    if (answer !== 'allowed' || i > limit.max) return { allowed: i, answer, limiter, clock }
    clock.advance((limit.perSeconds * 900) / limit.max)
  }
}

describe.each(table)('$action by $by ($counts): $max in $perSeconds s', (limit) => {
  const { coolDown: _, ...plain } = limit
  /** With all the others, but the other windows of the same kind: these stop it before. */
  const limits = table.flatMap((other) => {
    if (other === limit) return [plain]
    return other.by === limit.by && other.action === limit.action ? [] : [other]
  })

  test('stops whoever changes everything else, and nobody else', async () => {
    const { allowed, answer, limiter } = await attack(plain, limits)
    expect(allowed).toBe(limit.max)
    expect(answer).toEqual(refused())
    const stranger = await outcome(limiter, limit.action, person(40_000))
    expect(stranger).toEqual(limit.by === 'server' ? refused() : 'allowed')
  })

  test('tells how long, and nothing of what others did', async () => {
    const { answer, limiter, clock } = await attack(plain, limits)
    if (['network', 'prefix', 'server'].includes(limit.by)) expect(answer).toEqual(refused(600))
    // The refusal is one of ours: it was looked at in the test above.
    const seconds = (answer as { facts: { retryAfterSeconds: number } }).facts.retryAfterSeconds
    expect(seconds).toBeLessThanOrEqual(86_400)
    if (['network', 'prefix', 'server'].includes(limit.by) || seconds === 86_400) return
    clock.advance((seconds - 1) * 1000)
    expect(await outcome(limiter, limit.action, attacker(limit.by, limit.max))).toEqual(refused(1))
    clock.advance(1000)
    expect(await outcome(limiter, limit.action, attacker(limit.by, limit.max))).toBe('allowed')
  })
})

test('no counter has two windows of one length', () => {
  const names = table.map(({ action, by, counts, perSeconds }) => `${action} ${by} ${counts} ${perSeconds}`)
  expect(new Set(names).size).toBe(names.length)
})

describe('sending codes', () => {
  const who = person(1)

  test('the next one to the same number waits 60, 120, then as long as its windows say', async () => {
    const { limiter, clock } = newLimiter()
    const nexts: number[] = []
    for (let i = 0; i < 5; i++) {
      const { nextInSeconds } = await limiter.spend('send_code', { ...who, address: null, deviceId: null })
      nexts.push(nextInSeconds)
      const others = person(1, { address: `9.9.${i}.9`, deviceId: `x${i}` })
      clock.advance((nextInSeconds - 1) * 1000)
      expect(await outcome(limiter, 'send_code', others)).toEqual(refused(1))
      clock.advance(1000)
    }
    expect(nexts.slice(0, 2)).toEqual([60, 120])
    // Three in ten minutes: the fourth comes ten minutes after the first, give or take a slot of ten seconds.
    expect(nexts[2]).toBeGreaterThanOrEqual(300)
    expect(nexts[2]).toBeLessThanOrEqual(430)
    expect(nexts[3]).toBe(900)
    expect(nexts[4]).toBeGreaterThan(900)
  })

  test('who is stopped as an address uses up nothing of a number', async () => {
    const { limiter, clock } = newLimiter()
    for (let i = 0; i < 200; i++) {
      await outcome(limiter, 'send_code', person(i, { address: '203.0.113.7' }))
      await outcome(limiter, 'send_code', { ...who, address: '203.0.113.7' })
    }
    clock.advance(120_000)
    expect(await outcome(limiter, 'send_code', { ...who, address: '198.51.100.1' })).toBe('allowed')
  })

  test('unknown addresses share one counter', async () => {
    const { limiter } = newLimiter()
    const answers = []
    for (let i = 0; i < 6; i++)
      answers.push(await outcome(limiter, 'send_code', person(i, { address: null })))
    expect(answers.slice(0, 5)).toEqual(Array(5).fill('allowed'))
    expect(answers[5]).toEqual(refused())
  })

  test('without a device id the other limits hold', async () => {
    const { limiter } = newLimiter()
    for (let i = 0; i < 5; i++) {
      const one = person(i, { deviceId: null, address: '203.0.113.7' })
      expect(await outcome(limiter, 'send_code', one)).toBe('allowed')
    }
    const sixth = person(6, { deviceId: null, address: '203.0.113.7' })
    expect(await outcome(limiter, 'send_code', sixth)).toEqual(refused())
  })

  test('an IPv6 /64 is one address, and IPv4 in IPv6 is IPv4', async () => {
    const { limiter } = newLimiter()
    for (let i = 0; i < 5; i++) {
      await limiter.spend('send_code', person(i, { address: `2001:db8:1:2:${i}::1` }))
      await limiter.spend('send_code', person(100 + i, { address: '203.0.113.7' }))
    }
    const answers = await Promise.all(
      ['2001:db8:1:2:ffff::9', '2001:db8:1:3::1', '::ffff:203.0.113.7', '::ffff:cb00:7107'].map(
        (address, i) => outcome(limiter, 'send_code', person(200 + i, { address })),
      ),
    )
    expect(answers).toEqual([refused(), 'allowed', refused(), refused()])
    expect(addressBlock('2001:db8:1:2::', 32, 64)).toBe('2001:db8:1:2::')
  })

  test('a daily budget of 0 sends nothing', async () => {
    const { limiter } = newLimiter(limitsWith({ smsDailyBudget: 0 }))
    expect(await outcome(limiter, 'send_code', who)).toEqual(refused(600))
  })
})

describe.each(checks)('failures in a row of %s', (method) => {
  const other: Check = method === 'check_code' ? 'check_password' : 'check_code'
  const number = '+8613800005223'
  /** Only this counter, so that the attacker can go on to the end. */
  const inARow = table.filter(({ counts }) => counts === 'in_a_row')
  const victim = (i = 0) => person(i, { phoneNumber: number })

  test('five are free, then the delay doubles up to 15 minutes', async () => {
    const { limiter, clock } = newLimiter(inARow)
    const delays: number[] = []
    for (let i = 0; i < 13; i++) {
      const refusal = await outcome(limiter, method, victim(i))
      if (refusal === 'allowed') continue
      // Only our own refusals have come so far, or the comparison below fails.
      const { retryAfterSeconds } = (refusal as { facts: { retryAfterSeconds: number } }).facts
      delays.push(i, retryAfterSeconds)
      clock.advance((retryAfterSeconds - 1) * 1000)
      expect(await outcome(limiter, method, victim(i))).toEqual(refused(1))
      clock.advance(1000)
      expect(await outcome(limiter, method, victim(i))).toBe('allowed')
    }
    expect(delays).toEqual([5, 30, 6, 60, 7, 120, 8, 240, 9, 480, 10, 900, 11, 900, 12, 900])
  })

  test('of 64 at once five come to a comparison', async () => {
    const { limiter } = newLimiter()
    const all = await Promise.all(Array.from({ length: 64 }, (_, i) => outcome(limiter, method, victim(i))))
    expect(all.filter((one) => one === 'allowed')).toHaveLength(5)
  })

  test('after 100 the method is off for the number, for good, and the other one is as it was', async () => {
    const { limiter, clock } = newLimiter(inARow)
    for (let i = 0; i < 100; i++) {
      expect(await outcome(limiter, method, victim(i))).toBe('allowed')
      clock.advance(900_000)
    }
    for (let day = 0; day < 300; day++) {
      expect(await outcome(limiter, method, victim(day))).toEqual(refused(86_400))
      clock.advance(86_400_000)
    }
    expect(await outcome(limiter, method, person(9))).toBe('allowed')
    const attempt = await limiter.attempt(other, victim())
    await attempt.succeeded()
    expect(await outcome(limiter, method, victim())).toBe('allowed')
  })

  test('under the whole table too, whoever attacks one method leaves the other alone', async () => {
    const { limiter, clock } = newLimiter()
    let allowed = 0
    for (let i = 0; i < 20_000; i++) {
      if ((await outcome(limiter, method, victim(i))) === 'allowed') allowed++
      clock.advance(60_000)
    }
    expect(allowed).toBe(100)
    expect(await outcome(limiter, other, victim(3_001))).toBe('allowed')
  })

  test('a success forgets them; what never came to a comparison is none', async () => {
    const { limiter } = newLimiter()
    for (let i = 0; i < 4; i++) await limiter.attempt(method, victim(i))
    await (await limiter.attempt(method, victim(4))).succeeded()
    for (let i = 5; i < 9; i++) await limiter.attempt(method, victim(i))
    for (let i = 9; i < 15; i++) await (await limiter.attempt(method, victim(i))).notCompared()
    expect(await outcome(limiter, method, victim(20))).toBe('allowed')
    expect(await outcome(limiter, method, victim(21))).toEqual(refused(30))
  })

  test('what is refused by a limit behind it is no failure', async () => {
    const { limiter, clock } = newLimiter(
      table.map((limit) =>
        limit.action === method && limit.by === 'number' && limit.counts !== 'in_a_row'
          ? { ...limit, max: 3 }
          : limit,
      ),
    )
    for (let i = 0; i < 3; i++) await limiter.attempt(method, victim(i))
    for (let i = 3; i < 20; i++) expect(await outcome(limiter, method, victim(i))).not.toEqual(refused(30))
    clock.advance(90_000_000)
    for (let i = 30; i < 32; i++) expect(await outcome(limiter, method, victim(i))).toBe('allowed')
  })
})

test('a right code is not one of the wrong ones', async () => {
  const { limiter } = newLimiter()
  for (let i = 0; i < 30; i++) {
    const attempt = await limiter.attempt('check_code', person(i, { phoneNumber: '+8613800005223' }))
    await attempt.succeeded()
    await attempt.notCompared()
  }
})

test('without a table nothing is refused', async () => {
  const { limiter } = newLimiter([])
  for (let i = 0; i < 500; i++) {
    expect(await outcome(limiter, 'check_password', person(1))).toBe('allowed')
    expect(await limiter.spend('send_code', person(1))).toEqual({ nextInSeconds: 0 })
  }
})
