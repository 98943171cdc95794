// Two more baselines: GET /user as a minimal implementation on Redis, without any of Hufu's guarantees.
// BENCH_READS=cached-hash: one HGETALL, cached by the client library. BENCH_READS=two-gets: a session, then
// its account.
import fastify from 'fastify'
import { createClient } from 'redis'

const { BENCH_READS, BENCH_REDIS_URL = '' } = process.env

async function cachedHash() {
  const client = createClient({
    url: BENCH_REDIS_URL,
    RESP: 3,
    // As in the library's README: no expiry, no limit.
    clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: 'LRU' },
  })
  await client.connect()
  return async (token: string) => {
    const { nickname, phone_number } = await client.hGetAll(`session:${token}`)
    return nickname === undefined ? null : { nickname, phone_number }
  }
}

async function twoGets() {
  const client = createClient({ url: BENCH_REDIS_URL })
  await client.connect()
  return async (token: string) => {
    const accountId = await client.get(`session:${token}`)
    const account = accountId === null ? null : await client.get(`account:${accountId}`)
    return account === null ? null : JSON.parse(account)
  }
}

const find = await (BENCH_READS === 'cached-hash' ? cachedHash() : twoGets())
const app = fastify()
app.get('/user', async (request, reply) => {
  reply.header('x-request-id', 'AAAAAAAA-000')
  reply.header('cache-control', 'no-store')
  const account = await find(String(request.headers.token))
  if (account) return { code: 1, nickname: account.nickname, phone_number: account.phone_number }
  reply.code(401)
  return { code: 2, message: '验证信息错误' }
})
process.stderr.write(`Hufu 虎符 reads  ${await app.listen({ host: '127.0.0.1', port: 0 })}\n`)
process.once('SIGTERM', () => void app.close().then(() => process.exit(0)))
