// docs/tutorial.zh-CN.md.
import { runs, type Script } from './blocks.ts'
import { shown, shownUnsorted } from './steps.ts'
import type { Walk } from './walk.ts'

/** Redis at the address of the page; redis-cli prints for people where it prints into no pipe, as in a terminal. */
async function withRedis(walk: Walk): Promise<void> {
  const { port } = await walk.servers.redis()
  walk.put(`127.0.0.1:${port}`, '127.0.0.1:6379')
  walk.program(
    'redis-cli',
    `[ -f /dev/stdout ] && mode=--no-raw || mode=--raw
exec ${walk.installed('redis-cli')} -p ${port} $mode "$@"`,
  )
}

const start = runs(async (walk, { text }) => {
  await withRedis(walk)
  await walk.start(text)
}, 'redis')

const withSqlite = runs(async (walk, { text }) => void (await walk.run(text)), 'redis', 'sqlite3')
const inRedis = runs(async (walk, { text }) => void (await walk.run(text)), 'redis')

export const tutorial: Script = [
  ['HUFU_REDIS_URL=redis://127.0.0.1:6379 npm start', start],
  ['export HUFU_REDIS_URL=redis://127.0.0.1:6379', inRedis],
  ['echo 123456 | npm run -s hufu -- accounts add', inRedis],
  ['已创建账号', shown],
  ['sqlite3 -header -column data/hufu.db', withSqlite],
  ['id ', shown],
  ['curl http://127.0.0.1:5001/login', inRedis],
  ['{"code":0', shown],
  ['curl http://127.0.0.1:5001/login', inRedis],
  ['{"code":1', shown],
  ['sqlite3 -header -column data/hufu.db', withSqlite],
  ['id ', shown],
  ['curl http://127.0.0.1:5001/user', inRedis],
  ['{"code":1', shown],
  ["redis-cli --scan --pattern 'hufu:*'", inRedis],
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
