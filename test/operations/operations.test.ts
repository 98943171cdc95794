// The commands of docs/operations.md for backups and restores, unchanged, with the real tools.
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createConnection } from 'mysql2/promise'
import { Client } from 'pg'
import { afterEach, expect, test } from 'vitest'
import { watchedMs } from '../../src/timing.ts'
import { person, runCommand, type ServerProcess, startProcess } from '../support/app.ts'
import { databases, redisUrl } from '../support/databases.ts'
import { getBinary, whyMissing } from '../support/services/binaries.ts'
import { createFolder, removeFolder } from '../support/services/folders.ts'
import { startMariadb } from '../support/services/mariadb.ts'
import { startPostgres } from '../support/services/postgres.ts'
import { type RedisServer, startRedis } from '../support/services/redis.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const text = readFileSync(join(root, 'docs/operations.md'), 'utf8')

/** The shell blocks under a heading, in order. */
function commandsUnder(heading: string): string[] {
  const [, after = ''] = text.split(`\n### ${heading}\n`)
  const [section = ''] = after.split(/^##/m)
  return [...section.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block = '']) => block)
}

/** A database as on the page, in a folder of this test. */
interface Installation {
  readonly heading: string
  readonly url: string
  readonly folder: string
  /** Paths and names in the commands, with their replacements. */
  readonly places: Readonly<Record<string, string>>
  readonly environment?: Record<string, string>
}

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

function newFolder(): string {
  const folder = createFolder('operations')
  closers.push(() => removeFolder(folder))
  mkdirSync(join(folder, 'backups'))
  return folder
}

/** Runs a block with these replacements. */
async function shell(block: string, { places, environment = {} }: Installation): Promise<string> {
  const replaced = Object.entries(places).reduce((script, [from, to]) => script.replaceAll(from, to), block)
  // No path of a real machine is left in it.
  expect(replaced).not.toMatch(/\/(etc|opt|var\/lib|var\/backups)\//)
  const { PATH = '', HOME = '' } = process.env
  const env = { PATH, HOME, ...environment }
  return (await run('bash', ['-euo', 'pipefail', '-c', replaced], { env })).stdout
}

async function signIn({ url }: ServerProcess): Promise<string> {
  const response = await fetch(`${url}/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      phone_number: person.phone,
      password: person.password,
      device: { platform: 'ios' },
    }),
  })
  // A successful sign-in has a token; a failed one fails below.
  return ((await response.json()) as { token: string }).token
}

async function ask({ url }: ServerProcess, token: string, method = 'GET'): Promise<string> {
  const response = await fetch(`${url}/v1/session`, { method, headers: { authorization: `Bearer ${token}` } })
  const body = await response.text()
  // A refusal is a JSON object with a code.
  return response.ok ? 'live' : (JSON.parse(body) as { code: string }).code
}

/** A backup, a restore and the documented effects. */
async function backUpAndRestore(installation: Installation, redis: RedisServer): Promise<void> {
  const environment = {
    HUFU_DATABASE_URL: installation.url,
    HUFU_REDIS_URL: redis.url,
    HUFU_SESSION_MAX: '0',
  }
  const [backUp = '', restore = ''] = commandsUnder(installation.heading)
  const add = ['accounts', 'add', person.phone, '--password-stdin', '--allow-weak-password']
  expect(await runCommand(add, environment, { stdin: person.password })).toMatchObject({ code: 0 })
  let server = await startProcess(environment)
  closers.push(() => server.stop())
  const restart = async () => {
    await server.stop()
    server = await startProcess(environment)
  }

  const before = await signIn(server)
  await shell(backUp, installation)
  const since = await signIn(server)
  expect(await ask(server, before, 'DELETE')).toBe('live')
  expect(await ask(server, since)).toBe('live')
  await server.stop()
  const [file = ''] = readdirSync(join(installation.folder, 'backups'))
  await shell(restore.replace(/(?<=^BACKUP=.*\/)[^/\n]+$/m, file), installation)

  // As the page says: this long after the last server has stopped.
  await new Promise((resolve) => setTimeout(resolve, watchedMs))
  await restart()
  const [endAll = ''] = commandsUnder('After a restore')
  expect(await ask(server, since)).toBe('token_unknown')
  expect(await ask(server, before)).toBe('live')

  const words = [process.execPath, join(root, 'src/main.ts')].join(' ')
  const command = endAll.replaceAll(/\bhufu (?=sessions)/g, `${words} `)
  await shell(command, { ...installation, environment: { ...installation.environment, ...environment } })
  expect(await ask(server, before)).toBe('session_kicked')
}

async function openRedis(): Promise<RedisServer> {
  const redis = await startRedis()
  closers.push(() => redis.stop())
  return redis
}

const withRedis = (redis: RedisServer) => ({ 'redis-cli': `redis-cli -p ${redis.port}` })
const noRedis = redisUrl() === null
const [, mariadb, postgres] = databases

test.skipIf(noRedis || whyMissing(['sqlite3'], 'sqlite3') !== null)(
  'backup and restore work as documented on SQLite',
  async () => {
    const folder = newFolder()
    const redis = await openRedis()
    mkdirSync(join(folder, 'data'))
    const places = {
      '/var/lib/hufu': folder,
      '/var/backups/hufu': join(folder, 'backups'),
      ' -o hufu -g hufu': '',
      ...withRedis(redis),
    }
    const url = `sqlite:${join(folder, 'data', 'hufu.db')}`
    await backUpAndRestore({ heading: 'SQLite', url, folder, places }, redis)
  },
)

test.skipIf(noRedis || mariadb?.skipped !== null)(
  'backup and restore work as documented on MariaDB',
  async () => {
    const folder = newFolder()
    const redis = await openRedis()
    // A server of its own, because the database is called hufu, as on the page.
    const server = await startMariadb()
    closers.push(() => server.stop())
    const connection = await createConnection({ uri: server.url })
    await connection.query('create database hufu character set utf8mb4')
    connection.destroy()
    const options = join(folder, 'mysql.cnf')
    writeFileSync(options, `[client]\nhost=127.0.0.1\nport=${new URL(server.url).port}\nuser=root\n`)
    const places = {
      '/etc/hufu/mysql.cnf': options,
      '/var/backups/hufu': join(folder, 'backups'),
      ...withRedis(redis),
    }
    await backUpAndRestore({ heading: 'MySQL and MariaDB', url: `${server.url}/hufu`, folder, places }, redis)
  },
)

test.skipIf(noRedis || postgres?.skipped !== null)(
  'backup and restore work as documented on PostgreSQL',
  async () => {
    const folder = newFolder()
    const redis = await openRedis()
    const server = await startPostgres()
    closers.push(() => server.stop())
    const client = new Client({ connectionString: `${server.url}/postgres` })
    await client.connect()
    await client.query('create database hufu')
    await client.end()
    const environment = {
      PATH: `${dirname(getBinary(['pg_dump'], 'postgresql'))}${delimiter}${process.env.PATH}`,
      PGHOST: '127.0.0.1',
      PGPORT: new URL(server.url).port,
      PGUSER: 'hufu',
    }
    const places = { '/var/backups/hufu': join(folder, 'backups'), ...withRedis(redis) }
    const url = `${server.url}/hufu`
    await backUpAndRestore({ heading: 'PostgreSQL', url, folder, places, environment }, redis)
  },
)
