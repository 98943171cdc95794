// The baselines: routes with the same responses as GET /user, GET /v1/session and POST /v1/introspect, byte
// for byte, which check and log nothing; the last one parses its form. With BENCH_BARE=http they run on a
// bare node:http handler, otherwise on Fastify.
import { createServer, type ServerResponse } from 'node:http'
import { parse } from 'node:querystring'
import fastify from 'fastify'

/** Headers that Hufu sends with every response: a request id of the same length, and no caching. */
const headers = { 'x-request-id': 'AAAAAAAA-000', 'cache-control': 'no-store' }

const answers = {
  '/user': () => ({ code: 1, nickname: '测试用户1', phone_number: '13000000000' }),
  '/v1/session': () => ({
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
  }),
}

const introspection = () => ({
  active: true,
  sub: '01a205d0-82b7-7229-ba1c-53f0bb62e75a',
  sid: 'AaIF0IK6fOe_AWn-B8xM3g',
  jti: 'AaIF0IK6fOe_AWn-B8xM3g',
  exp: 1797993125,
  iat: 1795401125,
  client_id: 'classic',
  token_type: 'Bearer',
  scope: '',
})
const introspectionPath = '/v1/introspect'

async function listenWithFastify(): Promise<string> {
  const app = fastify()
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers)
    done()
  })
  for (const [path, answer] of Object.entries(answers)) app.get(path, async () => answer())
  const type = 'application/x-www-form-urlencoded'
  app.addContentTypeParser<string>(type, { parseAs: 'string' }, (_request, body, done) => {
    done(null, parse(body))
  })
  app.post(introspectionPath, async () => introspection())
  process.once('SIGTERM', () => void app.close().then(() => process.exit(0)))
  return await app.listen({ host: '127.0.0.1', port: 0 })
}

async function listenWithHttp(): Promise<string> {
  const send = (response: ServerResponse, answer: () => object) => {
    const body = JSON.stringify(answer())
    response
      .writeHead(200, {
        ...headers,
        'content-type': 'application/json; charset=utf-8',
        'content-length': Buffer.byteLength(body),
      })
      .end(body)
  }
  const server = createServer((request, response) => {
    const answer = Object.entries(answers).find(([path]) => path === request.url)?.[1]
    if (answer) return send(response, answer)
    if (request.url !== introspectionPath) return void response.writeHead(404).end()
    let form = ''
    request.on('data', (chunk) => {
      form += chunk
    })
    request.on('end', () => {
      parse(form)
      send(response, introspection)
    })
  })
  // Fastify's own default, which shows in a header.
  server.keepAliveTimeout = 72_000
  process.once('SIGTERM', () => {
    server.close(() => process.exit(0))
    server.closeIdleConnections()
  })
  return await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' ? address?.port : null
      resolve(`http://127.0.0.1:${port}`)
    })
  })
}

const url = await (process.env.BENCH_BARE === 'http' ? listenWithHttp() : listenWithFastify())
process.stderr.write(`Hufu 虎符 bare  ${url}\n`)
