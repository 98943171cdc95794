// A newcomer's first ten minutes: the tracked files in an empty folder, npm ci, start, demo; and the packed tarball elsewhere.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Held, holdRequest } from '../support/held-request.ts'
import { copyCheckout, newcomer, startServer } from '../support/newcomer.ts'
import { freePort } from '../support/services/ports.ts'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'hufu-fresh-')))
const clone = join(folder, 'clone')
const elsewhere = join(folder, 'elsewhere')
const run = promisify(execFile)

/** The same with the Node that the project pins. */
function withOwnNode(port: number): Record<string, string> {
  const environment = newcomer(port)
  return { ...environment, PATH: `${dirname(process.execPath)}:${environment.PATH}` }
}

/** A sign-in that the server has begun to read. */
async function holdSignIn(port: number): Promise<Held> {
  return await holdRequest({
    method: 'POST',
    url: `http://127.0.0.1:${port}/login`,
    token: '',
    body: JSON.stringify({ phone_number: '12345678901', password: '1234567' }),
  })
}

/** Resolves when no connection to the port is taken any more. */
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

beforeAll(async () => {
  await copyCheckout(clone)
  await run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: clone, env: newcomer(0) })
}, 240_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('npm ci, npm start and npm run demo work in a fresh clone', { timeout: 60_000 }, async () => {
  const port = await freePort()
  const server = await startServer('npm', ['start'], { cwd: clone, port })
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

test('the packed tarball installs and starts elsewhere, with its command', { timeout: 180_000 }, async () => {
  await run('npm', ['pack', '--pack-destination', folder], { cwd: clone, env: newcomer(0) })
  const tarball = readdirSync(folder).find((name) => /^hufu-.*\.tgz$/.test(name)) ?? expect.fail('no tarball')
  mkdirSync(elsewhere)
  writeFileSync(join(elsewhere, 'package.json'), '{ "private": true }')
  await run('npm', ['install', '--no-audit', '--no-fund', join(folder, tarball)], {
    cwd: elsewhere,
    env: newcomer(0),
  })

  const port = await freePort()
  // The published package runs on the Node that is there; this test brings the one that the project pins.
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
      // One that is answered behind it shows that the server has both.
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
