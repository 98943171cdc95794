// The yardstick: Fastify routes that give the same answers as GET /user and GET /v1/session, to the byte, and
// check nothing.
import fastify from 'fastify'

const app = fastify()
app.addHook('onRequest', (_request, reply, done) => {
  reply.header('x-request-id', 'AAAAAAAA-000')
  reply.header('cache-control', 'no-store')
  done()
})
app.get('/user', async () => ({ code: 1, nickname: '测试用户1', phone_number: '13000000000' }))
app.get('/v1/session', async () => ({
  session: {
    id: 'AaIF0IK6fOe_AWn-B8xM3g',
    platform: 'classic',
    device: { id: null, name: null, app_version: null },
    ip: '127.0.0.1',
    created_at: '2026-11-22T00:00:00.000Z',
    seen_at: '2026-11-22T00:00:00.000Z',
    expires_at: '2026-12-22T00:00:00.000Z',
    current: true,
  },
  account: {
    id: '01a205d0-82b7-7229-ba1c-53f0bb62e75a',
    phone_number: '+8613000000000',
    nickname: '测试用户1',
  },
}))
process.stderr.write(`Hufu 虎符 bare  ${await app.listen({ host: '127.0.0.1', port: 0 })}\n`)
process.once('SIGTERM', () => void app.close().then(() => process.exit(0)))
