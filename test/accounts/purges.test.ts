// Expired data is removed, but never because a clock is wrong.
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openServices, type Services } from '../../src/app.ts'
import { ManualClock, systemClock } from '../../src/clock.ts'
import { databaseNow } from '../../src/database/database-clock.ts'
import { migrate } from '../../src/database/migrate.ts'
import { databaseKind } from '../../src/database/open.ts'
import { type PurgeStep, Purges } from '../../src/database/purges.ts'
import { noOrigin, recordEvents } from '../../src/events/events.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { addPerson, runCommand } from '../support/app.ts'
import { databases, type FreshDatabase } from '../support/databases.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const yearMs = 365 * dayMs

/** The wall clock of a machine: people and time servers set it, which does not affect `steady`. */
class Machine {
  readonly clock: ManualClock
  readonly steady = new ManualClock(0)

  constructor(now = Date.now()) {
    this.clock = new ManualClock(now)
  }

  pass(ms: number): void {
    this.clock.advance(ms)
    this.steady.advance(ms)
  }

  set(ms: number): void {
    this.clock.advance(ms)
  }
}

describe.each(databases)('purges on $name', (database) => {
  const usable = test.skipIf(database.skipped !== null)
  let fresh: FreshDatabase
  const opened: Services[] = []

  beforeEach(async () => {
    if (database.skipped === null) fresh = await database.create()
  })

  afterEach(async () => {
    for (const services of opened.splice(0)) await services.close()
    await fresh?.drop()
  })

  /** @param machine the clock of the services, and of the database if `databaseClock` is not given */
  async function open(machine: Machine, databaseClock = machine.clock): Promise<Services> {
    const settings = readSettings({ HUFU_DATABASE_URL: fresh.url, HUFU_LIMITS: 'off' })
    const services = await openServices(settings, {
      clock: machine.clock,
      steady: machine.steady,
      databaseNow: async () => databaseClock.now(),
    })
    opened.push(services)
    await migrate(services.db, settings.database.location.kind)
    return services
  }

  /** An account that closes in 15 days, with its first events. */
  async function addClosing({ accounts, db, clock }: Services, phoneNumber: string): Promise<string> {
    const { id } = await addPerson({ accounts } as Services, phoneNumber, null)
    await sql`update hufu_accounts set closes_at = ${clock.now() + 15 * dayMs} where id = ${id}`.execute(db)
    await recordEvents(db, clock.now(), noOrigin, [{ kind: 'account_closing', accountId: id }])
    return id
  }

  const eventCount = async ({ db }: Services) =>
    Number(
      (
        await db
          .selectFrom('hufu_events')
          .select(({ fn }) => fn.countAll().as('n'))
          .executeTakeFirstOrThrow()
      ).n,
    )

  const outcomesOf = async (services: Services, isClockRight = false) => [
    ...new Set((await services.purgeExpired({ isClockRight })).map(({ outcome }) => outcome.is)),
  ]

  /** Runs the purge every hour, like a server, or less often. */
  async function serveFor(services: Services, machine: Machine, ms: number, everyMs = hourMs): Promise<void> {
    for (let passed = 0; passed < ms; passed += everyMs) {
      machine.pass(everyMs)
      await services.purgeExpired()
    }
  }

  usable('a process whose clock is ahead of the database removes nothing', async () => {
    const right = new Machine()
    const rightHouse = await open(right)
    await rightHouse.purgeExpired()
    await addClosing(rightHouse, '13600000001')
    right.pass(dayMs)
    expect(await outcomesOf(rightHouse)).toEqual(['done'])
    const before = await eventCount(rightHouse)
    for (const aheadMs of [61_000, 16 * dayMs, 182 * dayMs, -61_000, 50 * yearMs]) {
      const wrong = new Machine(right.clock.now() + aheadMs)
      expect(await outcomesOf(await open(wrong, right.clock))).toEqual(['clocks_differ'])
    }
    expect(await rightHouse.accounts.find('13600000001')).toMatchObject({ closesAt: expect.any(Number) })
    expect(await eventCount(rightHouse)).toBe(before)
  })

  usable('a clock that jumped is trusted again after a day of the steady clock', async () => {
    const machine = new Machine()
    const services = await open(machine)
    await services.purgeExpired()
    await addClosing(services, '13600000001')
    await serveFor(services, machine, 2 * dayMs)
    machine.set(182 * dayMs)
    expect(await outcomesOf(services)).toEqual(['waiting'])
    await serveFor(services, machine, 23 * hourMs)
    expect(await services.accounts.find('13600000001')).toMatchObject({ closesAt: expect.any(Number) })
    expect(await eventCount(services)).toBeGreaterThan(0)
    machine.set(-182 * dayMs)
    await serveFor(services, machine, 26 * hourMs)
    expect(await services.accounts.find('13600000001')).toMatchObject({ closesAt: expect.any(Number) })

    machine.set(16 * dayMs)
    await serveFor(services, machine, 23 * hourMs)
    expect(await services.accounts.find('13600000001')).toMatchObject({ closesAt: expect.any(Number) })
    await serveFor(services, machine, 2 * hourMs)
    expect(await services.accounts.find('13600000001')).toBeNull()
  })

  usable('a restart neither ends nor restarts the wait', async () => {
    const machine = new Machine()
    const first = await open(machine)
    await first.purgeExpired()
    await addClosing(first, '13600000001')
    // No process ran for a month, or the clock is wrong: the two cannot be distinguished.
    machine.pass(dayMs + hourMs)
    await first.purgeExpired()
    machine.set(30 * dayMs)
    const restarted = await open(machine)
    expect(await outcomesOf(restarted)).toEqual(['waiting'])
    await serveFor(restarted, machine, 20 * hourMs)
    const again = await open(machine)
    expect(await outcomesOf(again)).toEqual(['waiting'])
    await serveFor(again, machine, 3 * hourMs)
    expect(await again.accounts.find('13600000001')).toMatchObject({ closesAt: expect.any(Number) })
    await serveFor(again, machine, 2 * hourMs)
    expect(await again.accounts.find('13600000001')).toBeNull()
  })

  usable('data is removed when due while the clock is right', async () => {
    const machine = new Machine()
    const services = await open(machine)
    await services.purgeExpired()
    await addClosing(services, '13600000001')
    await serveFor(services, machine, 14 * dayMs, 12 * hourMs)
    await serveFor(services, machine, 23 * hourMs)
    expect(await services.accounts.find('13600000001')).toMatchObject({ closesAt: expect.any(Number) })
    await serveFor(services, machine, hourMs)
    expect(await services.accounts.find('13600000001')).toBeNull()
    expect(await eventCount(services)).toBeGreaterThan(0)
    await serveFor(services, machine, 181 * dayMs, 24 * hourMs)
    expect(await eventCount(services)).toBe(0)
  })

  usable('an operator who confirms the time need not wait', async () => {
    const machine = new Machine()
    const services = await open(machine)
    await addClosing(services, '13600000001')
    machine.set(16 * dayMs)
    expect(await outcomesOf(services)).toEqual(['waiting'])
    expect(await outcomesOf(services, true)).toEqual(['done'])
    expect(await services.accounts.find('13600000001')).toBeNull()
    machine.pass(hourMs)
    expect(await outcomesOf(services)).toEqual(['done'])
  })

  usable('a failing step stops no other step, and is reported', async () => {
    const machine = new Machine()
    const { db } = await open(machine)
    const ran: string[] = []
    const step = (name: string, remove: PurgeStep['remove']): PurgeStep => ({ name, remove })
    const broken = new Error('no such table')
    const purges = new Purges({
      db,
      clock: machine.clock,
      steady: machine.steady,
      databaseNow: async () => machine.clock.now(),
      steps: [
        step('first', async () => ran.push('first') && 0),
        step('broken', async () => {
          throw broken
        }),
        step('last', async () => ran.push('last') && 0),
      ],
    })
    const reports = await purges.run({ isClockRight: true })
    expect(ran).toEqual(['first', 'last'])
    expect(reports.map(({ outcome }) => outcome)).toEqual([
      { is: 'done' },
      { is: 'failed', error: broken },
      { is: 'done' },
    ])
  })

  usable('a step runs in batches until nothing is left', async () => {
    const machine = new Machine()
    const { db } = await open(machine)
    let left = 1_234
    const asked: number[] = []
    const remove: PurgeStep['remove'] = async (_now, limit) => {
      asked.push(limit)
      const count = Math.min(left, limit)
      left -= count
      return count
    }
    const { clock, steady } = machine
    const options = { db, clock, steady, databaseNow: async () => clock.now() }
    const purges = new Purges({ ...options, steps: [{ name: 'things', remove }] })
    expect(await purges.run({ isClockRight: true })).toMatchObject([{ removed: 1_234 }])
    expect(left).toBe(0)
    expect(asked.length).toBeGreaterThan(2)
  })

  usable("the database's clock is read as milliseconds since 1970", async () => {
    const { db } = await open(new Machine())
    const kind = databaseKind(fresh.url) ?? expect.fail()
    expect(Math.abs((await databaseNow(db, kind)) - systemClock.now())).toBeLessThan(60_000)
  })

  usable('the command reports each kind of data, and with --now does not wait', async () => {
    const environment = { HUFU_DATABASE_URL: fresh.url, LANG: 'C' }
    const first = await runCommand(['purge'], environment)
    expect(first).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/accounts +nothing removed: .*"npm run -s hufu -- purge --now"/),
    })
    const second = await runCommand(['purge', '--now', '--json'], environment)
    expect(second.code).toBe(0)
    const lines = second.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toContainEqual({ step: 'events', outcome: 'done', removed: 0 })
    expect((await runCommand(['purge'], { ...environment, LANG: 'zh_CN.UTF-8' })).stdout).toMatch(
      /accounts +已删除 0 条/,
    )
  })
})

test('an account that cannot be removed does not stop the removal of others', async () => {
  const [sqlite = expect.fail()] = databases
  const fresh = await sqlite.create()
  const machine = new Machine()
  const settings = readSettings({ HUFU_DATABASE_URL: fresh.url, HUFU_LIMITS: 'off' })
  const services = await openServices(settings, { clock: machine.clock, steady: machine.steady })
  try {
    await migrate(services.db, 'sqlite')
    const numbers = ['13600000001', '13600000002', '13600000003']
    for (const number of numbers) await addPerson(services, number, null)
    await sql`update hufu_accounts set closes_at = ${machine.clock.now()}`.execute(services.db)
    await sql`create trigger keep before update on hufu_accounts
      when old.phone_number = '+8613600000002' and new.phone_number is null
      begin select raise(abort, 'kept by a trigger'); end`.execute(services.db)
    const reports = await services.purgeExpired({ isClockRight: true })
    expect(reports[0]).toMatchObject({ step: 'accounts', outcome: { is: 'failed' } })
    const left = await Promise.all(numbers.map((number) => services.accounts.find(number)))
    expect(left.map((account) => account !== null)).toEqual([false, true, false])
  } finally {
    await services.close()
    await fresh.drop()
  }
})
