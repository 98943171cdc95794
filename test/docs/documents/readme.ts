// README.md and README.zh-CN.md.
import { expect } from 'vitest'
import { freePort } from '../../support/services/ports.ts'
import { by, runs, type Script } from './blocks.ts'
import { command, shown, shownByServer } from './steps.ts'

const lastLineOf = (text: string): string => text.trimEnd().split('\n').at(-1) ?? ''

/** The server starts as in the last line; what comes before takes a minute and has a test of its own. */
const clone = runs((walk) => walk.start('npm start'))

/** The block with the code that the server printed for the request before. */
const withCode = runs(async (walk, { text }) => {
  const [, code = ''] = /5223 .*?(\d{6})/.exec(walk.terminal()) ?? []
  expect(text).toContain('CODE=123456')
  await walk.run(text.replace('123456', code))
})

const inMariadb = runs((walk, { text }) => walk.servers.inMariadb(text), 'mariadb')

/** The server also starts on PostgreSQL with this, at the address that the page names. */
const inPostgres = runs(async (walk, { text }) => {
  await walk.servers.inPostgres(text)
  const { url } = await walk.servers.postgres()
  const address = `${url.replace('//hufu@', '//hufu:change-me@')}/hufu`
  const doctor = `HUFU_DATABASE_URL=${address} npm run -s hufu -- `
  expect(await walk.run(`${doctor} migrate --json && ${doctor} doctor --json`)).toMatch(
    /"check":"database","status":"ok"/,
  )
}, 'postgres')

const withDatabaseAndRedis = runs(
  async (walk, { text }) => {
    await walk.stop()
    const [mariadb, redis] = [await walk.servers.mariadb(), await walk.servers.redis()]
    walk.put(`127.0.0.1:${new URL(mariadb.url).port}`, '127.0.0.1:3306')
    walk.put(`127.0.0.1:${redis.port}`, '127.0.0.1:6379')
    expect(lastLineOf(text)).toBe('npm start')
    const printed = await walk.run(text.replace(/npm start\n$/, ''))
    await walk.start('npm start')
    walk.printed = printed
  },
  'mariadb',
  'redis',
)

/** Both servers are ready, and both know the account that one of them is told of. */
const secondServer = runs(
  async (walk, { text }) => {
    const port = await freePort()
    await walk.start(text.replace('5002', String(port)))
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`)
    expect(await ready.json()).toEqual({ status: 'ok', database: 'ok', redis: 'ok' })
    expect((await fetch(`http://127.0.0.1:${walk.port}/readyz`)).status).toBe(200)
  },
  'mariadb',
  'redis',
)

export const readme: Script = [
  ['git clone URL hufu', clone, by('test/docs/new-machine.test.ts', 'git clone URL hufu')],
  ['Hufu 虎符', shownByServer],
  ['echo 123456 | npm run -s hufu -- accounts add', command],
  ['', shown],
  ['curl http://127.0.0.1:5001/login', command],
  ['{"code":0', shown],
  ['TOKEN=$(curl -s http://127.0.0.1:5001/login', command],
  ['{"code":1,"nickname"', shown],
  ['npm run demo', command],
  ['TOKEN=$(curl -s http://127.0.0.1:5001/v1/sessions', command],
  ['{"session"', shown],
  ['curl http://127.0.0.1:5001/v1/codes', command],
  ['{"resend_in"', shown],
  ['CODE=123456', withCode],
  ['{"token"', shown],
  ['CREATE DATABASE hufu CHARACTER SET', inMariadb],
  ['CREATE USER hufu PASSWORD', inPostgres],
  ['touch .env', withDatabaseAndRedis],
  ['✓ settings', shown],
  ['HUFU_PORT=5002 npm start', secondServer],
  ['npm run check', by('test/docs/docs.test.ts', 'runs only scripts that there are')],
]
