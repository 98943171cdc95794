// doctor tries everything that the server does: writes with the rights of docs/operations.md and with fewer,
// and commands to Redis.
import { readFileSync, rmSync } from 'node:fs'
import { createConnection } from 'mysql2/promise'
import { Client } from 'pg'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { triedTables } from '../../src/cli/doctor-trial-rows.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import { person, runCommand, startProcess } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { leastRights, makeUser } from '../support/redis-users.ts'
import { createFolder } from '../support/services/folders.ts'
import { startMariadb } from '../support/services/mariadb.ts'
import { startPostgres } from '../support/services/postgres.ts'
import { type RedisOptions, startRedis } from '../support/services/redis.ts'

const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
const [, section = ''] = page.split('\n## Database\n')
const [forMysql = '', forPostgres = '', inPostgres = ''] = [
  ...(section.split(/^## /m)[0] ?? '').matchAll(/^```sql\n(.*?)^```/gms),
].map(([, block = '']) => block)

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** The life of an account with the rights of the page; each step fails where one is missing. */
async function walk(url: string): Promise<void> {
  const environment = {
    HUFU_DATABASE_URL: url,
    HUFU_LIMITS: 'on',
    HUFU_TEST_NUMBERS: '+8613800005223=123456,+8613900005224=123456',
    HUFU_TEST_NUMBERS_UNTIL: new Date(Date.now() + 86_400_000).toISOString().slice(0, 10),
  }
  const add = ['accounts', 'add', person.phone, '--password-stdin', '--allow-weak-password']
  expect(await runCommand(add, environment, { stdin: person.password })).toMatchObject({
    code: 0,
    stderr: '',
  })
  const server = await startProcess(environment)
  closers.push(() => server.stop())
  const signIn = async () => {
    const response = await fetch(`${server.url}/v1/sessions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        phone_number: person.phone,
        password: person.password,
        device: { platform: 'ios' },
      }),
    })
    // A successful sign-in has a token.
    const { token } = (await response.json()) as { token: string }
    return { status: response.status, token }
  }
  const first = await signIn()
  const authorization = `Bearer ${first.token}`
  const signOut = await fetch(`${server.url}/v1/session`, { method: 'DELETE', headers: { authorization } })
  expect([first.status, signOut.status, (await signIn()).status, (await signIn()).status]).toEqual([
    201, 204, 201, 201,
  ])
  expect(await runCommand(['accounts', 'ban', person.phone], environment)).toMatchObject({
    code: 0,
    stderr: '',
  })
  expect(await runCommand(['accounts', 'unban', person.phone], environment)).toMatchObject({
    code: 0,
    stderr: '',
  })
  await writeEverything(server.url, environment)
  expect(await runCommand(['doctor'], environment)).toMatchObject({ code: 0, stderr: '' })
}

/**
 * Every other route and command that writes, with the counters of limits; each fails where a right is
 * missing.
 */
async function writeEverything(url: string, environment: Record<string, string>): Promise<void> {
  let token = ''
  const ask = async (method: string, path: string, body: object | null, status: number) => {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
    const answer = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
    const text = await answer.text()
    expect({ path, status: answer.status, text }).toMatchObject({ path, status })
    token = /"token":"([^"]+)"/.exec(text)?.[1] ?? token
  }
  const command = async (...words: string[]) =>
    expect(await runCommand(words, environment), words.join(' ')).toMatchObject({ code: 0, stderr: '' })
  const [first, second, newPassword] = ['13800005223', '13900005224', 'correct horse battery']
  await ask('POST', '/v1/codes', { phone_number: first, purpose: 'sign_in' }, 202)
  await ask('POST', '/v1/sessions', { phone_number: first, code: '654321' }, 401)
  await ask('POST', '/v1/sessions', { phone_number: first, code: '123456' }, 201)
  await ask('POST', '/v1/sessions', { phone_number: person.phone, password: person.password }, 201)
  await ask('POST', '/v1/session/rotate', null, 200)
  await ask('PATCH', '/v1/account', { nickname: '小明' }, 200)
  const change = { current_password: person.password, new_password: newPassword }
  await ask('PUT', '/v1/account/password', change, 204)
  await ask('GET', '/v1/account/export', null, 200)
  await ask('DELETE', '/v1/sessions', null, 204)
  await ask('POST', '/v1/codes', { phone_number: second, purpose: 'change_phone' }, 202)
  const move = { phone_number: second, code: '123456', confirmation: { password: newPassword } }
  await ask('PUT', '/v1/account/phone', move, 200)
  await command('accounts', 'unlock', second)
  await ask('POST', '/v1/codes', { phone_number: second, purpose: 'close_account' }, 202)
  await ask('DELETE', '/v1/account', { code: '123456' }, 202)
  await command('accounts', 'ban', second)
  await command('sessions', 'end', '--all', first)
  await command('purge', '--now')
}

test.skipIf(inject('mariadb').skipped !== null)('on MariaDB the rights of the page are enough', async () => {
  const server = await startMariadb()
  closers.push(() => server.stop())
  const root = await createConnection({ uri: server.url, multipleStatements: true })
  closers.push(() => root.destroy())
  await root.query(forMysql)
  const as = (user: string) => `${server.url.replace('root', `${user}:change-me`)}/hufu`
  expect(await runCommand(['migrate'], { HUFU_DATABASE_URL: as('hufu_owner') })).toMatchObject({
    code: 0,
    stderr: '',
  })
  await walk(as('hufu'))
  await root.query("REVOKE DELETE ON hufu.* FROM 'hufu'@'%'")
  const doctor = await runCommand(['doctor'], { HUFU_DATABASE_URL: as('hufu') })
  expect(doctor).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/✗ database .*DELETE.*grant the rights/),
  })
})

describe.skipIf(inject('postgres').skipped !== null)('on PostgreSQL', () => {
  test.each([
    'before',
    'after',
  ])('the rights of the page are enough, given %s the migration', async (when) => {
    const server = await startPostgres()
    closers.push(() => server.stop())
    const as = (user: string) => `${server.url.replace('hufu@', `${user}:change-me@`)}/hufu`
    const run = async (connectionString: string, block: string) => {
      const client = new Client({ connectionString })
      await client.connect()
      // One by one: several statements at once are one transaction, which cannot create a database.
      for (const statement of block.split(';').filter((text) => text.trim() !== ''))
        await client.query(statement)
      await client.end()
    }
    // The initial user of the test server is a superuser of that name.
    await run(`${server.url}/postgres`, "create role root superuser login password 'x'")
    await run(
      `${server.url.replace('hufu@', 'root:x@')}/postgres`,
      `alter role hufu rename to first; ${forPostgres}`,
    )
    if (when === 'before') await run(as('hufu_owner'), inPostgres)
    expect(await runCommand(['migrate'], { HUFU_DATABASE_URL: as('hufu_owner') })).toMatchObject({
      code: 0,
      stderr: '',
    })
    if (when === 'after') await run(as('hufu_owner'), inPostgres)
    await walk(as('hufu'))
    await run(as('hufu_owner'), 'REVOKE USAGE ON ALL SEQUENCES IN SCHEMA public FROM hufu')
    const doctor = await runCommand(['doctor'], { HUFU_DATABASE_URL: as('hufu') })
    expect(doctor).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/✗ database .*sequence.*grant the rights/),
    })
  })
})

test('the tables that are tried are the existing ones', async () => {
  const [sqlite = expect.fail()] = databases
  const fresh = await sqlite.createEmpty()
  closers.push(fresh.drop)
  expect((await runCommand(['migrate'], { HUFU_DATABASE_URL: fresh.url })).code).toBe(0)
  const db = openDatabase(dialectFor(fresh.url, 1))
  const tables = (await db.introspection.getTables()).map(({ name }) => name)
  await db.destroy()
  const ours = tables.filter((name) => name.startsWith('hufu_') && !name.startsWith('hufu_migration'))
  expect(Object.keys(triedTables)).toEqual(ours.toSorted())
})

describe.skipIf(inject('redis').skipped !== null)('Redis', () => {
  const begin = async (options: RedisOptions = {}) => {
    const redis = await startRedis(options)
    closers.push(() => redis.stop())
    return redis
  }
  const doctor = (url: string) => runCommand(['doctor'], { HUFU_REDIS_URL: url })
  const refused = (why: RegExp) => ({ code: 1, stdout: expect.stringMatching(why) })

  test('a Redis that refuses the password is a problem, and an unreachable one a warning', async () => {
    const server = await begin()
    await server.command('CONFIG', 'SET', 'requirepass', 'right')
    expect(await doctor(server.url.replace('//', '//:hunter2@'))).toMatchObject(
      refused(/✗ redis .*WRONGPASS/),
    )
    expect(await doctor(server.url)).toMatchObject(refused(/✗ redis .*NOAUTH/))
    expect((await doctor(server.url.replace('//', '//:right@'))).code).toBe(0)
    await server.stop()
    expect(await doctor(server.url)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/! redis .*ECONNREFUSED/),
    })
  })

  test('a Redis that cannot persist is a problem: it refuses every write', async () => {
    const dir = createFolder('misconf')
    const redis = await begin({ dir, args: ['--save', '3600 1'] })
    // A normal stop would first save, which it cannot.
    closers.push(() => redis.kill('SIGKILL'))
    rmSync(dir, { recursive: true })
    await redis.command('BGSAVE').catch(() => null)
    await expect
      .poll(async () => String(await redis.command('INFO', 'persistence')))
      .toMatch(/last_bgsave_status:err/)
    expect(await doctor(redis.url)).toMatchObject(refused(/✗ redis .*MISCONF/))
  })

  test('with the rights of the page is good, and without one of them a problem; nothing is left behind', async () => {
    const redis = await begin()
    const url = redis.url.replace('//', '//hufu:p%40ss@')
    await redis.command(...makeUser('hufu'), ...leastRights())
    expect((await doctor(url)).code).toBe(0)
    for (const right of ['-@scripting', '-client|tracking', '-set', '-@read', '-time']) {
      await redis.command(...makeUser('hufu'), ...leastRights(), right)
      expect({ right, ...(await doctor(url)) }).toMatchObject({
        right,
        ...refused(/✗ redis .*(NOPERM|permission|can't run)/i),
      })
    }
    expect(await redis.command('DBSIZE')).toBe(0)
  })
})
