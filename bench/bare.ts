// The yardstick: a Fastify route that gives the same answer as GET /user, to the byte, and checks nothing.
import fastify from 'fastify'

const app = fastify()
app.get('/user', async (_request, reply) => {
  reply.header('x-request-id', 'AAAAAAAA-000')
  reply.header('cache-control', 'no-store')
  return { code: 1, nickname: '测试用户1', phone_number: '13000000000' }
})
process.stderr.write(`Hufu 虎符 bare  ${await app.listen({ host: '127.0.0.1', port: 0 })}\n`)
process.once('SIGTERM', () => void app.close().then(() => process.exit(0)))
