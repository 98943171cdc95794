// A newcomer's first ten minutes, as README.md has them; and docs/operations.md from the package to an upgrade, on one machine.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { databases, redisUrl } from '../support/databases.ts'
import { freePort } from '../support/services/ports.ts'
import { until } from '../support/services/until.ts'
import { blockOf, root } from './documents/blocks.ts'
import { Machine } from './documents/machine.ts'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'hufu-fresh-')))
const origin = join(folder, 'origin')
const clone = join(folder, 'hufu')
const run = promisify(execFile)

/** The environment of somebody who has just opened a terminal: nothing of this test run's own npm, Node or settings. */
function newcomer(port: number): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env
  const own = PATH.split(':').filter((entry) => !entry.includes('node_modules'))
  return { PATH: own.join(':'), HOME, HUFU_PORT: String(port), LANG: 'C.UTF-8' }
}

/** Runs commands of which the last starts a server, waits for its start message, and gives what ends it with its process group. */
async function start(commands: string, cwd: string, port: number) {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', commands], {
    cwd,
    env: newcomer(port),
    detached: true,
  })
  let output = ''
  const started = new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk
      if (output.includes(`http://127.0.0.1:${port}`)) resolve()
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.on('exit', (code) => reject(new Error(`it ended with ${code}: ${output}`)))
  })
  await started
  return {
    output: () => output,
    async stop() {
      process.kill(-(child.pid ?? 0), 'SIGTERM')
      await once(child, 'exit')
    },
  }
}

/** A repository with the files of this checkout as they are, the new ones among them. */
beforeAll(async () => {
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const { stdout } = await run('git', list, { cwd: root, maxBuffer: 2 ** 24 })
  for (const file of stdout.split('\0').filter((name) => name !== '')) {
    mkdirSync(dirname(join(origin, file)), { recursive: true })
    cpSync(join(root, file), join(origin, file))
  }
  const somebody = ['-c', 'user.name=test', '-c', 'user.email=test@example.com']
  const git = (...words: string[]) => run('git', [...somebody, ...words], { cwd: origin })
  await git('init', '--quiet')
  await git('add', '--all')
  await git('commit', '--quiet', '--message', 'all')
}, 60_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the first block of README.md starts a server, and npm run demo works', {
  timeout: 240_000,
}, async () => {
  const port = await freePort()
  const { text } = blockOf('README.md', 'git clone URL hufu')
  const server = await start(text.replace('URL', origin), folder, port)
  expect(server.output()).toContain(join(clone, 'data', 'hufu.db'))
  const demo = await run('npm', ['run', 'demo'], { cwd: clone, env: newcomer(port) })
  expect(demo.stdout).toContain('Everything is as in the tutorial.')
  const shown = await run('npm', ['run', '-s', 'hufu', '--', 'accounts', 'show', '12345678901', '--json'], {
    cwd: clone,
    env: newcomer(port),
  })
  expect(JSON.parse(shown.stdout)).toMatchObject({ phone_number: '+8612345678901', app_online: false })
  await server.stop()
})

test('docs/operations.md leads from the package to a rolling restart and an upgrade', {
  timeout: 480_000,
}, async () => {
  const database = databases.findLast(({ skipped }) => skipped === null) ?? expect.fail()
  const fresh = await database.create()
  const place = join(folder, 'machine')
  mkdirSync(place)
  // npm ci has just been run there.
  const { text: pack } = blockOf('docs/operations.md', 'npm ci && npm pack')
  await run('bash', ['-c', pack.replace('npm ci && ', '').replace('/tmp', place)], {
    cwd: clone,
    env: newcomer(0),
  })
  copyFileSync(join(place, 'hufu-0.1.0.tgz'), join(place, 'hufu-0.2.0.tgz'))
  const machine = await Machine.make(place, {
    'postgres://hufu:change-me@127.0.0.1:5432/hufu': fresh.url,
    'redis://:change-me@127.0.0.1:6379': redisUrl() ?? '',
  })
  try {
    const installed = () => run(join(place, '/opt/hufu/current/node_modules/.bin/hufu'), ['--version'])
    for (const beginning of ['useradd', 'install -m 600', 'install -m 755']) await machine.run(beginning)
    expect((await installed()).stdout.trim()).toMatch(/^\d+\.\d+\.\d+$/)
    expect(await machine.run('hufu doctor')).toContain('✓ database')
    await machine.run('cp /opt/hufu/current/node_modules/hufu/deploy/hufu@.service')
    await machine.run('cp /opt/hufu/current/node_modules/hufu/deploy/nginx.conf')
    await serving(machine)
    const before = machine.pids()
    await machine.run('for port in')
    await serving(machine)
    expect(Object.keys(machine.pids())).toEqual(Object.keys(before))
    for (const [port, pid] of Object.entries(machine.pids())) expect(pid).not.toBe(before[port])
    expect(await machine.run('npm install --prefix /opt/hufu/0.2.0')).toContain('✓ schema     up to date')
  } finally {
    await machine.close()
    await fresh.drop()
  }
})

/** Both servers answer, and serve the page of the package. */
async function serving({ ports }: Machine): Promise<void> {
  for (const port of ports) {
    const ask = (path: string) => fetch(`http://127.0.0.1:${port}${path}`).catch(() => null)
    await until(async () => (await ask('/readyz'))?.status === 200)
    expect((await ask('/docs/'))?.status).toBe(200)
  }
}
