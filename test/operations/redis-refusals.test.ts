// A Redis that responds but refuses commands that the server needs: sign-ins still work, and /readyz and the
// log report the error.
import { rmSync } from 'node:fs'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { person, runCommand, startProcess } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { leastRights, makeUser } from '../support/redis-users.ts'
import { createFolder } from '../support/services/folders.ts'
import { type RedisServer, startRedis } from '../support/services/redis.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const refusals = [
  {
    what: 'the password',
    user: 'hufu:not-the-password',
    refuse: async (redis: RedisServer) => void (await redis.command(...makeUser('hufu'), ...leastRights())),
    repair: async (redis: RedisServer) =>
      void (await redis.command('ACL', 'SETUSER', 'hufu', '>not-the-password')),
    error: 'WRONGPASS',
  },
  {
    what: 'a right',
    user: 'hufu:p%40ss',
    refuse: async (redis: RedisServer) =>
      void (await redis.command(...makeUser('hufu'), ...leastRights(), '-client|tracking')),
    repair: async (redis: RedisServer) => void (await redis.command(...makeUser('hufu'), ...leastRights())),
    error: 'NOPERM',
  },
  {
    what: 'every write',
    user: 'default:',
    refuse: async (redis: RedisServer, dir: string) => {
      rmSync(dir, { recursive: true })
      await redis.command('BGSAVE').catch(() => null)
      await expect
        .poll(async () => String(await redis.command('INFO', 'persistence')))
        .toMatch(/last_bgsave_status:err/)
    },
    repair: async (redis: RedisServer) =>
      void (await redis.command('CONFIG', 'SET', 'stop-writes-on-bgsave-error', 'no')),
    error: 'MISCONF',
  },
]

describe.skipIf(inject('redis').skipped !== null)('Redis', () => {
  test.each(refusals)('a Redis that refuses $what fails no sign-in; /readyz, the log and doctor report it', {
    timeout: 120_000,
  }, async ({ user, refuse, repair, error }) => {
    const dir = createFolder('refusing')
    const redis = await startRedis({ dir, args: ['--save', '3600 1'] })
    closers.push(() => redis.stop())
    await refuse(redis, dir)
    const [sqlite = expect.fail()] = databases
    const { url, drop } = await sqlite.create()
    closers.push(drop)
    const HUFU_REDIS_URL = redis.url.replace('//', user === 'default:' ? '//' : `//${user}@`)
    const environment = { HUFU_DATABASE_URL: url, HUFU_REDIS_URL }
    const add = ['accounts', 'add', person.phone, '--password-stdin', '--allow-weak-password']
    const added = await runCommand(add, { HUFU_DATABASE_URL: url }, { stdin: person.password })
    expect(added.code).toBe(0)

    const server = await startProcess(environment)
    closers.push(() => server.stop())
    const ready = async () => {
      const response = await fetch(`${server.url}/readyz`)
      return { status: response.status, body: await response.json() }
    }
    expect(await ready()).toEqual({
      status: 200,
      body: { status: 'ok', database: 'ok', redis: 'refused' },
    })
    const signIn = await fetch(`${server.url}/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ phone_number: person.phone, password: person.password }),
    })
    expect(await signIn.json()).toMatchObject({ code: 1 })
    const lines = server.output().split('\n')
    expect(lines.filter((line) => line.includes('redis refuses what the server needs'))).toEqual([
      expect.stringContaining(error),
    ])
    expect(server.output()).not.toContain('not-the-password')
    expect(await runCommand(['doctor'], environment)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(new RegExp(`✗ redis .*${error}`)),
    })

    await repair(redis)
    await expect.poll(async () => (await ready()).body, { timeout: 20_000 }).toMatchObject({ redis: 'ok' })
    await redis.kill('SIGKILL')
    await expect.poll(async () => (await ready()).body).toMatchObject({ status: 'ok', redis: 'out_of_reach' })
  })
})
