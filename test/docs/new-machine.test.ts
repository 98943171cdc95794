// The first ten minutes with README.md; the packed tarball elsewhere; and docs/operations.md from the package
// to an upgrade, on one machine. One `npm ci` and one `npm pack` serve all of them.
import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { databases, redisUrl } from '../support/databases.ts'
import { type Held, holdRequest } from '../support/held-request.ts'
import { copyCheckout, newTerminal, startServer } from '../support/new-terminal.ts'
import { freePort } from '../support/services/ports.ts'
import { until } from '../support/services/until.ts'
import { blockOf } from './documents/blocks.ts'
import { Machine } from './documents/machine.ts'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'hufu-fresh-')))
const origin = join(folder, 'origin')
const clone = join(folder, 'hufu')
const place = join(folder, 'machine')
const tarball = join(place, 'hufu-0.1.0.tgz')
/** The folder where the page installs it. */
const elsewhere = join(place, 'opt', 'hufu', '0.1.0')
const run = promisify(execFile)

/** The same with the Node that the project pins. */
function withOwnNode(port: number): Record<string, string> {
  const environment = newTerminal(port)
  return { ...environment, PATH: `${dirname(process.execPath)}:${environment.PATH}` }
}

/** A sign-in that the server has started to read. */
async function holdSignIn(port: number): Promise<Held> {
  return await holdRequest({
    method: 'POST',
    url: `http://127.0.0.1:${port}/login`,
    token: '',
    body: JSON.stringify({ phone_number: '12345678901', password: '1234567' }),
  })
}

/** Resolves when the port accepts no more connections. */
async function portIsFree(port: number): Promise<void> {
  await expect
    .poll(
      () =>
        fetch(`http://127.0.0.1:${port}/livez`).then(
          ({ status }) => status,
          () => 'refused',
        ),
      {
        timeout: 30_000,
      },
    )
    .toBe('refused')
}

/** A repository with the current files of this checkout, including new ones. */
beforeAll(async () => {
  await copyCheckout(origin)
  const author = ['-c', 'user.name=test', '-c', 'user.email=test@example.com']
  const git = (...words: string[]) => run('git', [...author, ...words], { cwd: origin })
  await git('init', '--quiet')
  await git('add', '--all')
  await git('commit', '--quiet', '--message', 'all')
}, 60_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the quick start of README.md works exactly, and so do npm run demo and the sign-up of the tutorial', {
  timeout: 240_000,
}, async () => {
  const port = await freePort()
  const server = blockOf('README.md', 'git clone URL hufu').text
  const blockFrom = (beginning: string) => blockOf('docs/tutorial.md', beginning).text
  const ask = blockFrom('curl http://127.0.0.1:5001/v1/codes')
  const signUp = blockFrom('CODE=123456')
  const signOut = blockFrom('TOKEN=$(curl -s http://127.0.0.1:5001/v1/sessions')
  const bash = (commands: string) => ['-euo', 'pipefail', '-c', commands.replaceAll(':5001', `:${port}`)]
  const started = await startServer('bash', bash(server.replace('URL', origin)), { cwd: folder, port })
  try {
    expect(started.output()).toContain(join(clone, 'data', 'hufu.db'))
    const terminal = { cwd: clone, env: newTerminal(port) }
    await run('bash', bash(ask), terminal)
    await expect.poll(started.output).toMatch(/5224 .*?\d{6}/)
    const [, code = ''] = /5224 .*?(\d{6})/.exec(started.output()) ?? []
    const signedUp = await run('bash', bash(signUp.replace('123456', code)), terminal)
    expect(signedUp.stdout).toContain('"phone_number":"+8613800005224"')
    const demo = await run('npm', ['run', 'demo'], terminal)
    expect(demo.stdout).toContain('Everything is as in the tutorial.')
    const signedOut = await run('bash', bash(signOut), terminal)
    expect(signedOut.stdout).toContain('"code":"session_signed_out"')
    const show = ['run', '-s', 'hufu', '--', 'accounts', 'show', '12345678901', '--json']
    const shown = await run('npm', show, terminal)
    expect(JSON.parse(shown.stdout)).toMatchObject({ phone_number: '+8612345678901', app_online: false })
    await started.stop()
  } finally {
    started.end()
  }
})

test('the block of docs/operations.md packs what the clone contains', { timeout: 120_000 }, async () => {
  mkdirSync(place)
  // npm ci has already run there.
  const { text } = blockOf('docs/operations.md', 'npm ci && npm pack')
  const commands = text.replace('npm ci && ', '').replace('/tmp', place)
  await run('bash', ['-c', commands], { cwd: clone, env: newTerminal(0) })
  expect(existsSync(tarball)).toBe(true)
})

test('docs/operations.md leads from the package to a rolling restart and an upgrade', {
  timeout: 480_000,
}, async () => {
  const database = databases.findLast(({ skipped }) => skipped === null) ?? expect.fail()
  const fresh = await database.createEmpty()
  copyFileSync(tarball, join(place, 'hufu-0.2.0.tgz'))
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

test('the packed tarball installs and starts elsewhere, with its command', { timeout: 180_000 }, async () => {
  const port = await freePort()
  // The published package runs on the installed Node; this test brings the one that the project pins.
  const main = join(elsewhere, 'node_modules', 'hufu', 'dist', 'main.js')
  const server = await startServer(process.execPath, [main, 'serve'], { cwd: elsewhere, port })
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`)
  expect(await answer.json()).toMatchObject({ status: 'ok' })
  expect((await fetch(`http://127.0.0.1:${port}/docs/`)).status).toBe(200)
  await server.stop()
  const { stdout } = await run(
    process.execPath,
    [join(elsewhere, 'node_modules', '.bin', 'hufu'), '--version'],
    { cwd: elsewhere },
  )
  expect(stdout.trim()).toMatch(/^\d+\.\d+\.\d+$/)
})

test.each([
  ['npx hufu serve', 'npx', ['hufu', 'serve'], elsewhere],
  ['npm start', 'npm', ['start'], clone],
  ['npm run hufu -- serve', 'npm', ['run', 'hufu', '--', 'serve'], clone],
] as const)(
  'SIGTERM to %s stops the server, which answers what is in flight first',
  { timeout: 120_000 },
  async (_name, command, args, cwd) => {
    const port = await freePort()
    const server = await startServer(command, args, { cwd, port, environment: withOwnNode(port) })
    try {
      const held = await holdSignIn(port)
      // A later request that is answered shows that the server has read both.
      expect((await fetch(`http://127.0.0.1:${port}/livez`)).status).toBe(200)
      const stopped = server.stopAlone()
      await portIsFree(port)
      held.release()
      expect((await held.answer).status).toBe(200)
      await stopped
    } finally {
      server.end()
    }
  },
)

/** Both servers answer, and serve the page of the package. */
async function serving({ ports }: Machine): Promise<void> {
  for (const port of ports) {
    const ask = (path: string) => fetch(`http://127.0.0.1:${port}${path}`).catch(() => null)
    await until(async () => (await ask('/readyz'))?.status === 200)
    expect((await ask('/docs/'))?.status).toBe(200)
  }
}
