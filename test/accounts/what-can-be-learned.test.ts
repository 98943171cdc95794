// What an attacker can learn from the work of a request: the statements that run, and the durations that can
// be measured.
import { describe, expect, test, vi } from 'vitest'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import { MemoryLimitStore } from '../../src/limits/store-memory.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { addPerson, type RunningApp } from '../support/app.ts'
import { type DatabaseUnderTest, databases } from '../support/databases.ts'
import { SmsApps } from '../support/sms-app.ts'

const known = '13800005223'
const unknown = '13900005224'
const apps = new SmsApps()

async function start(environment?: Record<string, string>, on?: DatabaseUnderTest): Promise<RunningApp> {
  const app = await apps.start(environment, on)
  await addPerson(app.services, known)
  return app
}

async function post(app: RunningApp, path: string, body: object): Promise<number> {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(app.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
  await answer.arrayBuffer()
  return answer.status
}

const askFor = (app: RunningApp, phone_number: string, purpose: string) =>
  post(app, '/v1/codes', { phone_number, purpose })
const guess = (app: RunningApp, phone_number: string) =>
  post(app, '/v1/sessions', { phone_number, code: '000000' })

/** The statements that the work for a request runs, in transactions too, as `update hufu_codes`. */
async function statementsOf(app: RunningApp, work: () => Promise<unknown>): Promise<string[]> {
  // A transaction has an executor of its own, of the same class.
  const spy = vi.spyOn(executorClassOf(app), 'executeQuery')
  try {
    await work()
    await app.services.codeSender.close()
    const statements = spy.mock.calls.map(([{ sql }]) => {
      const [, table = ''] = /(?:from|into|update) ["`]?(hufu_[a-z_]+)/.exec(sql) ?? []
      return `${/^select/.test(sql) ? 'read' : 'write'} ${table}`
    })
    // The server reads the feed all the time.
    return statements.filter((statement) => statement !== 'read hufu_account_changes')
  } finally {
    spy.mockRestore()
  }
}

function executorClassOf({ services }: RunningApp) {
  const executor = services.db.getExecutor()
  let found: typeof executor = executor
  while (!Object.hasOwn(found, 'executeQuery')) found = Object.getPrototypeOf(found)
  return found
}

describe.each(databases)('the statements that run are the same on $name', (database) => {
  const usable = test.skipIf(database.skipped !== null)

  usable.each([
    ['reset_password', {}],
    ['confirm', {}],
    ['close_account', {}],
    ['sign_in', { HUFU_SIGN_UP: 'closed' }],
  ])(
    'for a code for %s, with and without an account, and whether or not a code is out',
    async (purpose, environment) => {
      const app = await start(environment, database)
      // The very first code reads the server's key.
      await statementsOf(app, () => askFor(app, known, purpose === 'confirm' ? 'close_account' : 'confirm'))
      const ofKnown: string[][] = []
      const ofUnknown: string[][] = []
      for (let i = 0; i < 3; i++) {
        ofKnown.push(await statementsOf(app, () => askFor(app, known, purpose)))
        ofUnknown.push(await statementsOf(app, () => askFor(app, unknown, purpose)))
      }
      expect(ofKnown[0]).toContain('write hufu_codes')
      expect(ofKnown[0]).toContain('write hufu_events')
      expect(ofUnknown).toEqual(ofKnown)
    },
  )

  usable('for a wrong code, whether or not one is pending', async () => {
    const app = await start({}, database)
    await askFor(app, known, 'change_phone')
    const without = [
      await statementsOf(app, () => guess(app, unknown)),
      await statementsOf(app, () => guess(app, unknown)),
    ]
    await askFor(app, known, 'sign_in')
    const with_ = [
      await statementsOf(app, () => guess(app, known)),
      await statementsOf(app, () => guess(app, known)),
    ]
    expect(with_[0]).toContain('write hufu_codes')
    expect(without).toEqual(with_)
  })

  usable('for a wrong code in a reset, with and without an account', async () => {
    const app = await start({}, database)
    await askFor(app, known, 'reset_password')
    await app.services.codeSender.close()
    const reset = (phone_number: string) =>
      post(app, '/v1/password-resets', {
        phone_number,
        code: '000000',
        new_password: 'correct horse battery',
      })
    const ofKnown = await statementsOf(app, () => reset(known))
    expect(await statementsOf(app, () => reset(unknown))).toEqual(ofKnown)
  })

  usable.each(['/v1/sessions', '/login'])(
    'for a wrong password at %s, with and without an account',
    async (path) => {
      const app = await start({}, database)
      const tryAt = (phone_number: string) => post(app, path, { phone_number, password: 'not the password' })
      const ofKnown = await statementsOf(app, () => tryAt(known))
      expect(ofKnown).toContain('write hufu_events')
      expect(await statementsOf(app, () => tryAt(unknown))).toEqual(ofKnown)
    },
  )
})

describe.each(databases)('the statements that run with the limits on are the same on $name', (database) => {
  test.skipIf(database.skipped !== null).each([{ password: 'not the password' }, { code: '000000' }])(
    'for %j, with and without an account',
    async (wrong) => {
      const app = await start({ HUFU_LIMITS: 'on' }, database)
      const [other, nobody] = ['13700005225', '13600005226']
      await addPerson(app.services, other)
      for (const number of [known, other]) await askFor(app, number, 'sign_in')
      // From here on the counters of the address and of the installation exist.
      for (const phone_number of [other, nobody]) await post(app, '/v1/sessions', { phone_number, ...wrong })
      const twice = async (phone_number: string) => [
        await statementsOf(app, () => post(app, '/v1/sessions', { phone_number, ...wrong })),
        await statementsOf(app, () => post(app, '/v1/sessions', { phone_number, ...wrong })),
      ]
      const ofKnown = await twice(known)
      if (database.name !== 'sqlite') expect(ofKnown[0]).toContain('write hufu_limit_counters')
      expect(await twice(unknown)).toEqual(ofKnown)
    },
  )
})

describe('the counters that are used are the same', () => {
  /**
   * The uses of counters while a code is guessed from an address: the answers of the store, without the
   * names.
   */
  async function countersOf(app: RunningApp, phone_number: string, code: string, from: string) {
    const spies = (['consume', 'consumeAll', 'refund', 'reset'] as const).map((name) =>
      vi.spyOn(MemoryLimitStore.prototype, name),
    )
    try {
      const headers = { 'content-type': 'application/json', 'x-forwarded-for': from }
      const body = JSON.stringify({ phone_number, code })
      const answer = await fetch(`${app.url}/v1/sessions`, { method: 'POST', headers, body })
      expect(answer.status).toBe(401)
      const calls = spies.flatMap(({ mock }) =>
        mock.results.map(({ value }, i) => ({ order: mock.invocationCallOrder[i] ?? 0, value })),
      )
      const answers = calls.toSorted((a, b) => a.order - b.order).map(async ({ value }) => await value)
      return (await Promise.all(answers)).map((result) =>
        [result ?? []].flat().map(({ waitMs }) => waitMs > 0),
      )
    } finally {
      for (const spy of spies) spy.mockRestore()
    }
  }

  test('for a right code that is not sufficient, a wrong one, and one for a number without a pending code', async () => {
    const app = await start({ HUFU_LIMITS: 'on', HUFU_TRUSTED_PROXIES: '127.0.0.1' })
    for (const number of [known, unknown]) {
      if (number === known) await askFor(app, known, 'sign_in')
      // From here on the number has had too many wrong codes.
      for (let i = 0; i < 12; i++) await countersOf(app, number, '000000', `198.18.${i}.7`)
    }
    const name = { phoneNumber: `+86${known}`, purpose: 'sign_in' } as const
    const { nonce } = (await findCode(app.services.db, name)) ?? expect.fail()
    const right = codeOf(await getOrCreateKey(app.services.db), { ...name, nonce })
    for (const again of [false, true]) {
      const wrong = await countersOf(app, known, '000000', '198.19.1.7')
      expect(await countersOf(app, known, right, '198.19.2.7'), `again: ${again}`).toEqual(wrong)
      expect(await countersOf(app, unknown, '000000', '198.19.3.7'), `again: ${again}`).toEqual(wrong)
    }
  })
})

/**
 * The probability that a time of the second list is longer than one of the first: 0.5 where they cannot be
 * distinguished (Mann-Whitney).
 */
function likelihoodOfLonger(a: readonly number[], b: readonly number[]): number {
  let wins = 0
  for (const x of a) for (const y of b) wins += y > x ? 1 : y === x ? 0.5 : 0
  return wins / (a.length * b.length)
}

const pairs = 80
/** Five standard deviations of that probability for this many pairs from one distribution. */
const tolerance = 5 * Math.sqrt((2 * pairs + 1) / (12 * pairs * pairs))

/** The durations of the work for one number and for the other, alternately and in changing order. */
async function compare(
  work: (number: string) => Promise<unknown>,
  before: (number: string) => Promise<unknown> = async () => {},
): Promise<number> {
  const times: Record<string, number[]> = { [known]: [], [unknown]: [] }
  for (let i = 0; i < pairs + 5; i++) {
    for (const number of i % 2 ? [known, unknown] : [unknown, known]) {
      await before(number)
      const began = performance.now()
      await work(number)
      // The first ones are warm-ups.
      if (i >= 5) times[number]?.push(performance.now() - began)
    }
  }
  return likelihoodOfLonger(times[unknown] ?? [], times[known] ?? [])
}

describe('the durations that an attacker can measure', () => {
  /** Until a later request is answered: work that the server does right after a response delays it. */
  const askAndLook = (app: RunningApp) => async (number: string) => {
    await askFor(app, number, 'reset_password')
    const answer = await fetch(`${app.url}/livez`)
    await answer.arrayBuffer()
  }

  test('do not reveal an account when a code for its owner is requested', async () => {
    const app = await start()
    expect(Math.abs((await compare(askAndLook(app))) - 0.5)).toBeLessThan(tolerance)
  })

  test('would reveal it if work for a known number followed the response', async () => {
    const app = await start()
    const send = app.services.codeSender.send.bind(app.services.codeSender)
    app.services.codeSender.send = async (number, request) => {
      const answer = await send(number, request)
      // The earlier behaviour: an event and its commit, for known numbers alone.
      if (number === known) setImmediate(busyFor, 10)
      return answer
    }
    // On a busy machine the noise may be larger than this leak.
    let found = 0
    for (let tries = 0; tries < 3 && found <= tolerance; tries++)
      found = (await compare(askAndLook(app))) - 0.5
    expect(found).toBeGreaterThan(tolerance)
  })

  test('do not reveal whether a code is pending when one is guessed', async () => {
    const app = await start()
    await askFor(app, known, 'sign_in')
    const { db, clock } = { db: app.services.db, clock: app.clock }
    /** Before each guess the code is valid with all its guesses; the other number never had one. */
    const renew = () =>
      db
        .updateTable('hufu_codes')
        .set({ guesses: 0, expires_at: clock.now() + 300_000 })
        .where('phone_number', '=', `+86${known}`)
        .execute()
    const likelihood = await compare((number) => guess(app, number), renew)
    expect(Math.abs(likelihood - 0.5)).toBeLessThan(tolerance)
  })
})

function busyFor(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}
