// HUFU_WORKERS: several processes on one port behave as one server.
import { readFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { openServices } from '../../src/app.ts'
import { migrate } from '../../src/database/migrate.ts'
import { redactUrl } from '../../src/redact-url.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { addPerson, person, type ServerProcess, startProcess } from '../support/app.ts'
import { databases, redisUrl } from '../support/databases.ts'
import { startRedis } from '../support/services/redis.ts'

const closers: (() => Promise<unknown>)[] = []
const [database] = databases
const usable = test.skipIf(redisUrl() === null || database === undefined)

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(environment: Record<string, string> = {}) {
  if (!database) expect.fail('no database')
  const { url, drop } = await database.create()
  closers.push(drop)
  const redis = await startRedis()
  closers.push(() => redis.stop())
  const settings = { HUFU_DATABASE_URL: url, HUFU_REDIS_URL: redis.url, HUFU_WORKERS: '2', ...environment }
  const services = await openServices(readSettings(settings))
  await migrate(services.db, 'sqlite')
  await addPerson(services)
  await services.close()
  const server = await startProcess(settings)
  closers.push(() => server.stop())
  await bothAnswer(server)
  return { server, settings }
}

/** Waits until each of the two has answered. */
async function bothAnswer(server: ServerProcess): Promise<void> {
  await vi.waitFor(async () => {
    const answers = await askEach(server, 'x')
    expect(new Set(answers.map(({ worker }) => worker)).size).toBe(2)
  }, 30_000)
}

/** The process ids of a server's workers: proc_pid_children(5). */
function workersOf({ child }: ServerProcess): number[] {
  const list = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
  return list.split(' ').filter(Boolean).map(Number)
}

interface Answer {
  readonly status: number
  /** The worker that answered: each has a prefix of its own for its request ids. */
  readonly worker: string
  readonly body: string
}

/** Uses a connection of its own: the workers take connections in turn. */
async function ask(url: string, token: string): Promise<Answer> {
  const agent = new Agent()
  try {
    return await new Promise<Answer>((resolve, reject) => {
      get(url, { agent, headers: { token } }, async (answer) => {
        let body = ''
        for await (const chunk of answer) body += chunk
        const worker = String(answer.headers['x-request-id']).replace(/-[0-9a-z]+$/, '')
        resolve({ status: answer.statusCode ?? 0, worker, body })
      }).on('error', reject)
    })
  } finally {
    agent.destroy()
  }
}

async function signIn(url: string): Promise<string> {
  const answer = await fetch(`${url}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ phone_number: person.phone, password: person.password }),
  })
  const { token } = (await answer.json()) as { token?: string }
  return token ?? expect.fail('the sign-in was refused')
}

const askEach = async ({ url }: ServerProcess, token: string) =>
  await Promise.all(Array.from({ length: 12 }, () => ask(`${url}/user`, token)))

usable('both answer, and one refuses a session that the other has ended', async () => {
  const { server } = await start()
  const token = await signIn(server.url)
  for (const { body } of await askEach(server, token)) expect(body).toContain('"code":1')
  expect((await ask(`${server.url}/logout`, token)).body).toContain('"code":1')
  for (const { body } of await askEach(server, token)) expect(body).toContain('"code":2')
})

usable(
  'the start message comes once; a worker that is killed is replaced, and all sessions stay live',
  async () => {
    const { server, settings } = await start()
    const token = await signIn(server.url)
    expect(server.output().match(/Hufu 虎符/g)).toHaveLength(1)
    expect(server.output()).toContain(`  Redis  ${redactUrl(settings.HUFU_REDIS_URL)}\n`)
    const [victim, other] = workersOf(server)
    process.kill(victim ?? expect.fail(), 'SIGKILL')
    await vi.waitFor(() => {
      const now = workersOf(server)
      expect(now).toHaveLength(2)
      expect(now).toContain(other)
      expect(now).not.toContain(victim)
    }, 20_000)
    await vi.waitFor(async () => {
      const answers = await askEach(server, token)
      for (const { body } of answers) expect(body).toContain('"code":1')
      expect(new Set(answers.map(({ worker }) => worker)).size).toBe(2)
    }, 20_000)
    expect(server.output()).toContain('a worker has died and is replaced')
  },
)

usable('a worker that does not respond is replaced, and does not keep the others from stopping', async () => {
  const { server } = await start()
  const token = await signIn(server.url)
  const [hung = expect.fail(), other = expect.fail()] = workersOf(server)
  process.kill(hung, 'SIGSTOP')
  await vi.waitFor(() => {
    const now = workersOf(server)
    expect(now).toHaveLength(2)
    expect(now).toContain(other)
    expect(now).not.toContain(hung)
  }, 30_000)
  expect(server.output()).toContain('a worker does not respond and is killed')
  await vi.waitFor(async () => {
    const answers = await askEach(server, token)
    for (const { body } of answers) expect(body).toContain('"code":1')
    expect(new Set(answers.map(({ worker }) => worker)).size).toBe(2)
  }, 20_000)

  process.kill(other, 'SIGSTOP')
  expect(await server.stop('SIGTERM')).toBe(70)
  expect(() => process.kill(other, 0)).toThrow('ESRCH')
})

usable('a second signal ends a worker that does not respond as well', async () => {
  const { server } = await start()
  const workers = workersOf(server)
  process.kill(workers[0] ?? expect.fail(), 'SIGSTOP')
  server.child.kill('SIGTERM')
  await vi.waitFor(() => expect(workersOf(server)).toEqual([workers[0]]), 10_000)
  expect(await server.stop('SIGTERM')).toBe(70)
  await vi.waitFor(() => {
    for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  }, 10_000)
})

usable('a signal to the whole group stops all of them, and requests in flight are answered', async () => {
  const { server } = await start({ HUFU_PASSWORD_PARALLEL: '1' })
  const workers = workersOf(server)
  const underWay = Array.from({ length: 6 }, () => signIn(server.url))
  await sleep(100)
  for (const pid of workers) process.kill(pid, 'SIGTERM')
  const code = server.stop('SIGTERM')
  for (const token of await Promise.all(underWay)) expect(token).toMatch(/^hf_/)
  expect(await code).toBe(0)
  for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})

usable('the workers end when the first process is killed', async () => {
  const { server } = await start()
  const workers = workersOf(server)
  await server.stop('SIGKILL')
  await vi.waitFor(() => {
    for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  }, 10_000)
})

usable('an error at the start of the first worker ends the program with one message', async () => {
  const { server, settings } = await start()
  const { port } = new URL(server.url)
  await expect(startProcess({ ...settings, HUFU_PORT: port })).rejects.toThrow(
    /ended with 2: (?!.*in use.*in use).*HUFU_PORT \d+ is in use/s,
  )
})

// While they wait for Redis, and for the port, nothing else keeps them alive.
test.each([
  ['Redis is away', { HUFU_REDIS_URL: 'redis://127.0.0.1:1' }],
  ['there is no Redis, and no limits', { HUFU_LIMITS: 'off' }],
])('they start where %s', async (_where, environment) => {
  const { url, drop } = (await database?.create()) ?? expect.fail('no database')
  closers.push(drop)
  const server = await startProcess({ HUFU_DATABASE_URL: url, HUFU_WORKERS: '2', ...environment })
  closers.push(() => server.stop())
  await bothAnswer(server)
  expect(await server.stop('SIGTERM')).toBe(0)
})
