// Whether accounts may be in partitions: each statement of the requests that sign in, check, change and end
// sessions names the keys of docs/operations.md, and the unique keys of the tables are those of that page.
import { Kysely, sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import type { Purpose } from '../../src/codes/purpose.ts'
import type * as Open from '../../src/database/open.ts'
import type { Tables } from '../../src/database/schema.ts'
import { deviceProofsMax } from '../../src/sessions/device-proofs.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { read } from '../docs/documents/blocks.ts'
import { type RunningApp, startApp } from '../support/app.ts'
import { redisUrl, stores } from '../support/databases.ts'
import { namedRowsOf } from '../support/named-keys.ts'
import { ask, clientOf } from '../support/v1-calls.ts'

/** Every statement of every connection, the feed's and the counters' included. */
const asked = vi.hoisted((): string[] => [])

vi.mock('../../src/database/open.ts', async (load) => ({
  ...(await load<typeof Open>()),
  openDatabase: (dialect: Parameters<typeof Open.openDatabase>[0]) =>
    new Kysely<Tables>({ dialect, log: ({ query }) => void asked.push(query.sql) }),
}))

interface TableOfPage {
  /** Keys by which requests find its rows, each with all of its columns; empty: it is not in partitions. */
  readonly keys: readonly (readonly string[])[]
  readonly unique: readonly string[]
}

/** The table under this heading. */
function tablesOfPage(): ReadonlyMap<string, TableOfPage> {
  const [, section = ''] = read('docs/operations.md').split('### Partitions by account\n')
  const codesOf = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)
  const rows = section.split(/\n#/, 1)[0]?.match(/^\| `hufu_.*$/gm) ?? []
  return new Map(
    rows.flatMap((row) => {
      const [tables, keys, unique] = row.split(' | ')
      const columns = codesOf(keys).map((key) => key.split(', '))
      return codesOf(tables).map((table) => [table, { keys: columns, unique: codesOf(unique) }] as const)
    }),
  )
}

const page = tablesOfPage()

/** What a statement asks for without naming a key of its table. */
function unnamed(text: string): string[] {
  return namedRowsOf(text).flatMap(({ table, columns }) => {
    const { keys = null } = page.get(table) ?? {}
    if (keys === null) return [`${table} is not in the page: ${text}`]
    const isNamed = keys.length === 0 || keys.some((key) => key.every((one) => columns.includes(one)))
    return isNamed ? [] : [`${table} by ${columns.join(', ') || 'nothing'}: ${text}`]
  })
}

test.each([
  ['select * from hufu_sessions where token_hash = ?', 1],
  ['select * from hufu_sessions where id = ? or token_hash = ?', 1],
  ['select * from hufu_sessions where (id = ? or token_hash = ?)', 1],
  ['select * from hufu_sessions where ended_at is null and id in (?, ?)', 0],
  ['update hufu_accounts a left join hufu_sessions s on s.ended_at is null set a.id = 1 where a.id = ?', 1],
  ['with w0 as (update hufu_sessions set id = ?), w1 as (select 1) select 1', 1],
  ['select (select max("at") from "hufu_events") from "hufu_accounts" as "a" where "a"."id" = $1', 1],
  ['insert into hufu_events (id, at) select id, ? from hufu_sessions where id = ?', 1],
  ['delete from hufu_unheard where id = ?', 1],
])('the check finds what names no key: %s', (text, count) => {
  expect(unnamed(text)).toHaveLength(count)
})

const password = 'a good password of mine'
const device = { platform: 'ios', id: 'phone-1' } as const
let last = 0
const newNumber = () => `+86138${String(30_000_000 + last++)}`

/** SQLite is one file. */
const servers = stores.filter(({ database }) => database.name !== 'sqlite')

describe.each(servers)('$name', ({ database, redis, skipped }) => {
  const usable = test.skipIf(skipped !== null)
  let app: RunningApp
  let drop: () => Promise<void>

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await database.create()
    drop = fresh.drop
    const environment = { HUFU_LIMITS: 'on', ...(redis && { HUFU_REDIS_URL: redisUrl() ?? '' }) }
    app = await startApp(fresh.url, { environment })
  })
  afterAll(async () => {
    await app?.close()
    await drop?.()
  })

  async function newAccount(): Promise<string> {
    const phoneNumber = newNumber()
    await app.services.accounts.create({ phoneNumber, nickname: null, password })
    return phoneNumber
  }

  /** The token of a sign-in, which must succeed. */
  async function signIn(phoneNumber: string, platform: 'ios' | 'web' = 'ios'): Promise<string> {
    const { status, body } = await clientOf(app).signIn({ phoneNumber, password, device: { platform } })
    expect(status).toBe(201)
    return String(body.token)
  }

  async function codeFor(phoneNumber: string, purpose: Purpose): Promise<string> {
    expect(await clientOf(app).sendCode({ phoneNumber, purpose, device })).toMatchObject({ status: 202 })
    await app.services.codeSender.close()
    const row = await findCode(app.byHand, { phoneNumber, purpose })
    const { nonce } = row ?? expect.fail('there is no code')
    // Waits between messages are limits too.
    app.clock.advance(120_000)
    return codeOf(await getOrCreateKey(app.byHand), { phoneNumber, purpose, nonce })
  }

  const post = async (path: string, body: object, headers: Record<string, string> = {}) =>
    await ask(app, 'POST', path, { body, headers })

  const walks: Readonly<Record<string, () => Promise<unknown>>> = {
    async 'a sign-in by password, and another one that replaces it'() {
      const phoneNumber = await newAccount()
      await signIn(phoneNumber)
      await signIn(phoneNumber)
      expect(await clientOf(app).signIn({ phoneNumber, password: 'wrong' })).toMatchObject({ status: 401 })
    },
    async 'a sign-in by code that creates the account, and one that does not'() {
      const phoneNumber = newNumber()
      for (const status of [201, 201]) {
        const code = await codeFor(phoneNumber, 'sign_in')
        const wrong = code === '000000' ? '111111' : '000000'
        expect(await clientOf(app).signIn({ phoneNumber, code: wrong })).toMatchObject({ status: 401 })
        expect(await clientOf(app).signIn({ phoneNumber, code })).toMatchObject({ status })
      }
    },
    async 'a sign-in with a key, and its repeat'() {
      const body = { phone_number: await newAccount(), password, device }
      const key = { 'idempotency-key': 'k'.repeat(22) }
      const answers = [await post('/v1/sessions', body, key), await post('/v1/sessions', body, key)]
      expect(answers).toMatchObject([{ status: 201 }, { status: 201 }])
    },
    async 'sign-ins with device proofs, more than an account keeps'() {
      const body = { phone_number: await newAccount(), password }
      const { body: first } = await post('/v1/sessions', body)
      const proof = String(first.device_proof)
      for (let i = 0; i < deviceProofsMax + 2; i++) await post('/v1/sessions', body)
      expect(await post('/v1/sessions', { ...body, device_proof: proof })).toMatchObject({ status: 201 })
    },
    async 'checks, and the note of a last use'() {
      const token = await signIn(await newAccount())
      await clientOf(app).me(token)
      expect(await ask(app, 'GET', '/user', { headers: { token } })).toMatchObject({ status: 200 })
      app.clock.advance(2 * 86_400_000)
      expect(await clientOf(app).me(token)).toMatchObject({ status: 200 })
      await clientOf(app).signOut(token)
      expect(await clientOf(app).me(token)).toMatchObject({ status: 401 })
    },
    async 'a rotation, and the first use of the new token'() {
      const token = await signIn(await newAccount())
      const { status, body } = await clientOf(app).rotate(token)
      expect(status).toBe(200)
      expect(await clientOf(app).me(String(body.token))).toMatchObject({ status: 200 })
      expect(await clientOf(app).me(token)).toMatchObject({ status: 401 })
    },
    async 'the list of sessions, the end of one, of the others and of all'() {
      const phoneNumber = await newAccount()
      const [token, other] = [await signIn(phoneNumber), await signIn(phoneNumber, 'web')]
      const { body } = await clientOf(app).devices(token)
      const { id = '' } =
        (body.sessions as { id: string; current: boolean }[]).find((one) => !one.current) ?? {}
      expect(await clientOf(app).endDevice(token, id)).toMatchObject({ status: 204 })
      expect(await clientOf(app).me(other)).toMatchObject({ status: 401 })
      await signIn(phoneNumber, 'web')
      await clientOf(app).endOtherDevices(token)
      await clientOf(app).signOutEverywhere(token)
      expect(await clientOf(app).me(token)).toMatchObject({ status: 401 })
    },
    async 'the profile, the export, and changes of password and number'() {
      const phoneNumber = await newAccount()
      const token = await signIn(phoneNumber)
      const done = []
      done.push(await clientOf(app).account(token))
      done.push(await clientOf(app).updateAccount(token, { nickname: 'n' }))
      done.push(await clientOf(app).exportAccount(token))
      done.push(
        await clientOf(app).setPassword(token, { currentPassword: password, newPassword: `${password}!` }),
      )
      const moved = newNumber()
      const code = await codeFor(moved, 'change_phone')
      const confirmation = { password: `${password}!` }
      done.push(await clientOf(app).changePhone(token, { phoneNumber: moved, code, confirmation }))
      const reset = { code: await codeFor(moved, 'reset_password'), newPassword: password }
      done.push(await clientOf(app).resetPassword({ phoneNumber: moved, ...reset }))
      expect(done.map(({ status }) => status).filter((status) => status >= 300)).toEqual([])
    },
    async 'closing, a ban and its end'() {
      const phoneNumber = await newAccount()
      const token = await signIn(phoneNumber)
      const code = await codeFor(phoneNumber, 'close_account')
      expect(await clientOf(app).closeAccount(token, code)).toMatchObject({ status: 202 })
      await signIn(phoneNumber)
      const { id } = await app.services.accounts.get(phoneNumber)
      await app.services.lifecycle.ban(id, { until: null, reason: 'spam' })
      await app.services.lifecycle.unban(id)
    },
  }

  usable.each(Object.keys(walks))('every statement names a key of the page: %s', async (name) => {
    asked.length = 0
    await walks[name]?.()
    expect(asked.filter((text) => text.includes('hufu_')).length).toBeGreaterThan(3)
    expect([...new Set(asked.flatMap(unnamed))]).toEqual([])
  })

  usable(
    'every statement names a key of the page: what is written later, until the server has stopped',
    async () => {
      const token = await signIn(await newAccount())
      app.clock.advance(2 * 86_400_000)
      await clientOf(app).me(token)
      asked.length = 0
      await app.services.verification.close()
      expect(asked.filter((text) => /^update .?hufu_sessions/.test(text)).length).toBeGreaterThan(0)
      expect([...new Set(asked.flatMap(unnamed))]).toEqual([])
    },
  )

  usable('the unique keys of the tables are those of the page', async () => {
    const { rows } = await keysIn[database.name === 'postgres' ? 'postgres' : 'mysql'].execute(app.byHand)
    const found = Map.groupBy(rows, (row) => row.table)
    const unique = [...found].map(
      ([table, keys]) => [table, keys.map((row) => row.columns).toSorted()] as const,
    )
    const expected = [...page].map(([table, one]) => [table, one.unique.toSorted()] as const)
    expect(Object.fromEntries(unique)).toEqual(Object.fromEntries(expected))
  })
})

interface UniqueKey {
  readonly table: string
  readonly columns: string
}

const keysIn = {
  mysql: sql<UniqueKey>`
    select table_name as "table", group_concat(column_name order by seq_in_index separator ', ') as "columns"
    from information_schema.statistics
    where table_schema = database() and non_unique = 0
      and table_name like 'hufu%' and table_name not like 'hufu_migration%'
    group by table_name, index_name`,
  postgres: sql<UniqueKey>`
    select c.relname as "table",
      string_agg(a.attname, ', ' order by array_position(i.indkey::int[], a.attnum::int)) as "columns"
    from pg_index i
      join pg_class c on c.oid = i.indrelid
      join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey)
    where i.indisunique and c.relname like 'hufu%' and c.relname not like 'hufu_migration%'
    group by c.relname, i.indexrelid`,
}
