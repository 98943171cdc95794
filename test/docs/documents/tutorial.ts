// docs/tutorial.md and docs/tutorial.zh-CN.md.
import { expect } from 'vitest'
import { runs, type Script } from './blocks.ts'
import { command, shown, shownByServer, shownUnsorted, withCodeTo } from './steps.ts'
import type { Walk } from './walk.ts'

const start = runs((walk, { text }) => walk.start(text))

/** Redis at the address of the page; redis-cli prints in its format for terminals even into a pipe. */
async function withRedis(walk: Walk): Promise<void> {
  const { port } = await walk.servers.redis()
  walk.put(`127.0.0.1:${port}`, '127.0.0.1:6379')
  walk.program(
    'redis-cli',
    `[ -f /dev/stdout ] && mode=--no-raw || mode=--raw
exec ${walk.installed('redis-cli')} -p ${port} $mode "$@"`,
  )
}

/** The server restarts with the variables that the terminal exports. */
const startWithRedis = runs(async (walk, { text }) => {
  await walk.stop()
  await withRedis(walk)
  const [settings = ''] = text.split(/^npm start\n$/m)
  expect(text).toBe(`${settings}npm start\n`)
  const printed = await walk.run(settings)
  const [setting = ''] = settings.split('\n')
  await walk.start(`${setting}\nnpm start`)
  walk.printed = printed
}, 'redis')

const withSqlite = runs(async (walk, { text }) => void (await walk.run(text)), 'redis', 'sqlite3')
const inRedis = runs(async (walk, { text }) => void (await walk.run(text)), 'redis')

export const tutorial: Script = [
  ['npm start', start],
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
  ['CODE=123456', withCodeTo('5224')],
  ['{"token"', shown],
  ['export HUFU_REDIS_URL=redis://127.0.0.1:6379\nnpm run', startWithRedis],
  ['✓ settings', shown],
  ['export HUFU_REDIS_URL=redis://127.0.0.1:6379', inRedis],
  ['sqlite3 -header -column data/hufu.db', withSqlite],
  ['id ', shown],
  ['curl http://127.0.0.1:5001/login', inRedis],
  ['{"code":1', shown],
  ['sqlite3 -header -column data/hufu.db', withSqlite],
  ['id ', shown],
  ["redis-cli --scan --pattern 'hufu:s:*'", inRedis],
  ['"hufu:s:', shownUnsorted],
  ['redis-cli --raw GET', inRedis],
  ['+8612345678901', shown],
  ['sqlite3 data/hufu.db "SELECT token_hash', withSqlite],
  ['q0RwDqD512n8eFEUTEmnQNQSOjp4XzzKQneQjhjNivo', shown],
  ['npm run -s hufu -- accounts show', inRedis],
  ['phone_number', shown],
  ['curl http://127.0.0.1:5001/logout', inRedis],
  ['{"code":1', shown],
  ['TOKEN=$(curl', inRedis],
  ['(integer)', shown],
]
