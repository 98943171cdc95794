// README.md and README.zh-CN.md.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect } from 'vitest'
import { freePort } from '../../support/services/ports.ts'
import { by, root, runs, type Script } from './blocks.ts'
import type { Walk } from './walk.ts'

/** The server starts as in the last line of the block; the clone and npm ci have a test of their own. */
const quickStart = runs(async (walk, { text }) => {
  expect(text).toBe('git clone URL hufu\ncd hufu\nnpm ci && npm start\n')
  await walk.start('npm start')
})

/** Writes a block as a module of the checkout, beside a program that uses it. */
async function runWith(walk: Walk, module: string, program: string): Promise<string> {
  writeFileSync(join(walk.folder, 'readme-block.ts'), module)
  writeFileSync(join(walk.folder, 'readme-program.ts'), program)
  return await walk.shell.run('node readme-program.ts')
}

/** An app made of the block signs up, signs out, and gets the reason. */
const inAnApp = runs(async (walk, { text }) => {
  const client = pathToFileURL(join(root, 'sdk', 'src', 'client.ts')).href
  const module = walk.here(
    text
      .replace('https://accounts.example.com', 'http://127.0.0.1:5001')
      .replace("'@hufu/sdk'", `'${client}'`),
  )
  const ask = "import { askForCode } from './readme-block.ts'\nawait askForCode('13800005224')\n"
  const code = await walk.codeTo('5224', () => runWith(walk, module, ask))
  const printed = await runWith(
    walk,
    module,
    `import { client, signIn } from './readme-block.ts'
console.log(await signIn('13800005224', '${code}'))
await client.signOut()
`,
  )
  expect(printed).toContain('+8613800005224')
  expect(printed).toContain('signed_out')
})

/** A live token resolves to its account, an ended one to null, and an unreachable Hufu rejects. */
const inABackEnd = runs(async (walk, { text }) => {
  const add = 'accounts add 13800005225 --nickname 小红 --password-stdin --allow-weak-password'
  const body = '{"phone_number":"13800005225","password":"123456"}'
  const signIn = `curl -s http://127.0.0.1:5001/v1/sessions -H 'Content-Type: application/json' -d '${body}'`
  await walk.run(
    `echo 123456 | npm run -s hufu -- ${add}\nexport TOKEN=$(${signIn} | grep -o '"token":"[^"]*"' | cut -d '"' -f 4)`,
  )
  const program = `import { accountOf } from './readme-block.ts'
await accountOf(process.env.TOKEN).then((account) => console.log(account), () => console.log('failed'))
`
  const module = walk.here(text)
  expect(await runWith(walk, module, program)).toMatch(/phone_number: '\+8613800005225',\s+nickname: '小红'/)
  await walk.run('curl -X DELETE http://127.0.0.1:5001/v1/session -H "Authorization: Bearer $TOKEN"')
  expect(await runWith(walk, module, program)).toBe('null\n')
  const elsewhere = module.replaceAll(`127.0.0.1:${walk.port}`, `127.0.0.1:${await freePort()}`)
  expect(await runWith(walk, elsewhere, program)).toBe('failed\n')
})

const inMariadb = runs((walk, { text }) => walk.servers.inMariadb(text), 'mariadb')

/** The server also starts on PostgreSQL with these settings, at the address that the page names. */
const inPostgres = runs(async (walk, { text }) => {
  await walk.servers.inPostgres(text)
  const { url } = await walk.servers.postgres()
  const address = `${url.replace('//hufu@', '//hufu:change-me@')}/hufu`
  const doctor = `HUFU_DATABASE_URL=${address} npm run -s hufu -- `
  expect(await walk.run(`${doctor} migrate --json && ${doctor} doctor --json`)).toMatch(
    /"check":"database","status":"ok"/,
  )
}, 'postgres')

const checks = [
  ...['✓ settings', '! proxies', '✓ database', '✓ tls', '! schema', '✓ replicas', '✓ clock'],
  ...['✓ redis', '✓ tls', '✓ clock', '! sms'],
]

/** `doctor` reports what it should in this setting. */
const scaledOut = runs(
  async (walk, { text }) => {
    await walk.stop()
    const [mariadb, redis] = [await walk.servers.mariadb(), await walk.servers.redis()]
    walk.put(`127.0.0.1:${new URL(mariadb.url).port}`, '127.0.0.1:3306')
    walk.put(`127.0.0.1:${redis.port}`, '127.0.0.1:6379')
    const [settings = ''] = text.split(/^npm start\n/m)
    expect(text).toBe(`${settings}npm start\n`)
    const printed = await walk.run(settings)
    expect(printed.match(/^\S \w+/gm)).toEqual(checks)
    await walk.start('npm start')
  },
  'mariadb',
  'redis',
)

/** Both servers are ready. */
const secondServer = runs(
  async (walk, { text }) => {
    const port = await freePort()
    expect(text).toBe('HUFU_PORT=5002 npm start\n')
    await walk.start(text.replace('5002', String(port)))
    // A busy machine may take a moment to connect to Redis.
    await expect
      .poll(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).json(), { timeout: 10_000 })
      .toEqual({ status: 'ok', database: 'ok', redis: 'ok' })
    expect((await fetch(`http://127.0.0.1:${walk.port}/readyz`)).status).toBe(200)
  },
  'mariadb',
  'redis',
)

export const readme: Script = [
  ['git clone URL hufu', quickStart, by('test/docs/new-machine.test.ts', 'git clone URL hufu')],
  ["import { createClient } from '@hufu/sdk'", by('sdk/src/readme.test.ts', 'README.zh-CN.md'), inAnApp],
  ['export async function accountOf', inABackEnd],
  ['CREATE DATABASE hufu CHARACTER SET', inMariadb],
  ['CREATE USER hufu PASSWORD', inPostgres],
  ['touch .env', scaledOut],
  ['HUFU_PORT=5002 npm start', secondServer],
]
