// Bad connections: responses stay in order, bytes that are not HTTP end the connection, and slow clients are
// disconnected.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'
import { RawConnection, type Reply, send } from '../support/raw-http.ts'

const guest = '13800005223'
const signIn = JSON.stringify({
  phone_number: guest,
  password: person.password,
  device: { platform: 'ios' },
})

let app: RunningApp
let databaseUrl: string
let drop: () => Promise<void>
let token: string

beforeAll(async () => {
  const fresh = await (databases[0] ?? expect.fail()).create()
  drop = fresh.drop
  databaseUrl = fresh.url
  // Some sign-ins must still be in progress when the next request arrives.
  app = await startApp(fresh.url, { slowHashes: true })
  await addPerson(app.services)
  await addPerson(app.services, guest)
  const context = { device: phone, origin: noOrigin }
  const credential = { phoneNumber: person.phone, password: person.password }
  token = (await app.services.signIn.by('password', context, credential)).token
})

afterAll(async () => {
  await app.close()
  await drop()
})

beforeEach(async () => {
  const { id } = await app.services.accounts.get(guest)
  await app.byHand.deleteFrom('hufu_sessions').where('account_id', '=', id).execute()
  app.lines.length = 0
})

/** A request that leaves the connection open, with an id that its response repeats. */
function ask(id: string, line: string, headers = '', body = ''): string {
  const length = body === '' ? '' : `content-type: application/json\r\ncontent-length: ${body.length}\r\n`
  return `${line} HTTP/1.1\r\nhost: hufu.test\r\nx-request-id: ${id}\r\n${headers}${length}\r\n${body}`
}

const bearer = () => `authorization: Bearer ${token}\r\n`

async function signInGuest(): Promise<string> {
  const context = { device: phone, origin: noOrigin }
  const credential = { phoneNumber: guest, password: person.password }
  return (await app.services.signIn.by('password', context, credential)).token
}

async function guestSessions() {
  return await app.services.sessions.list((await app.services.accounts.get(guest)).id)
}

/** The other clients: a signed-in one on a separate connection. */
async function expectOthersServed(): Promise<void> {
  const reply = await send(app, ask('other', 'GET /user', `connection: close\r\ntoken: ${token}\r\n`))
  expect(JSON.parse(reply.text)).toMatchObject({ code: 1, nickname: person.nickname })
}

let eventsAdded = 0
/** Adds this many events to an account's export. */
async function addEvents(count: number): Promise<void> {
  const { id } = await app.services.accounts.get(person.phone)
  const row = { at: Date.now(), kind: 'signed_in' as const, account_id: id }
  for (let left = count; left > 0; left -= 500) {
    const rows = Array.from({ length: Math.min(left, 500) }, () => ({ ...row, id: `added-${eventsAdded++}` }))
    await app.byHand.insertInto('hufu_events').values(rows).execute()
  }
}

function idAndStatusOf(reply: Reply | null) {
  return reply && [reply.headers['x-request-id'], reply.status]
}

/** All responses until the server ends the connection: which request each answers, and how. */
async function untilClosed(connection: RawConnection): Promise<unknown[]> {
  const all: unknown[] = []
  for (;;) {
    const reply = await connection.answer()
    if (reply === null) return all
    all.push(idAndStatusOf(reply))
  }
}

describe('a client that speaks another protocol than plain HTTP/1.1', () => {
  /** Writes bytes, and returns how the connection ended. */
  async function sendAndClose(bytes: string): Promise<{ text: string; error: unknown }> {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
    let text = ''
    let error: unknown = null
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', (reason) => {
      error = reason
    })
    socket.write(Buffer.from(bytes, 'latin1'))
    await once(socket, 'close')
    return { text, error }
  }

  const warnings = () =>
    app.lines
      .map((line) => JSON.parse(line) as { level: number; peer?: string; msg?: string })
      .filter(({ level }) => level === 40)

  // The shared app logs each line at most once a minute, and this file takes less: each protocol has one
  // test.
  test('TLS is reported in the log once, and the client sees its connection end', async () => {
    for (let i = 0; i < 3; i++) {
      const client = connectTls({
        host: '127.0.0.1',
        port: Number(new URL(app.url).port),
        rejectUnauthorized: false,
      })
      const [error] = await once(client, 'error')
      // The start of a plain HTTP response: the connection did not just vanish.
      expect(error).toMatchObject({ code: 'ERR_SSL_WRONG_VERSION_NUMBER' })
      const { text, error: ended } = await sendAndClose('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03')
      expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
      expect(ended).toBeNull()
    }
    expect(warnings()).toMatchObject([
      { peer: '127.0.0.1', msg: expect.stringMatching(/speaks TLS.*plain HTTP/) },
    ])
    await expectOthersServed()
  })

  test.each([
    ['HTTP/2 without TLS', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /HTTP\/2 without TLS/],
    [
      'the PROXY protocol',
      'PROXY TCP4 203.0.113.7 10.0.0.5 51234 80\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n',
      /PROXY protocol/,
    ],
  ])('%s is reported in the log once', async (_name, bytes, line) => {
    for (let i = 0; i < 3; i++) {
      const { text, error } = await sendAndClose(bytes)
      expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
      expect(error).toBeNull()
    }
    expect(warnings()).toMatchObject([{ peer: '127.0.0.1', msg: expect.stringMatching(line) }])
  })
})

describe('many requests on one connection', () => {
  /** Half of them are bad, but the start of the next one is always clear. */
  const kinds: readonly (readonly [number, (id: string) => string])[] = [
    [200, (id) => ask(id, 'GET /user', `token: ${token}\r\n`)],
    [422, (id) => ask(id, 'POST /v1/sessions', '', '{"phone_number":1}')],
    [200, (id) => ask(id, 'GET /v1/session', bearer())],
    [401, (id) => ask(id, 'DELETE /v1/account', '', '{"code":"123456"}')],
    [200, (id) => ask(id, 'GET /readyz')],
    [404, (id) => ask(id, 'GET /v1//session')],
    [200, (id) => ask(id, 'GET /v1/sessions', bearer())],
    [405, (id) => ask(id, 'TRACE /user')],
    [200, (id) => ask(id, 'GET /v1/account', bearer())],
    [404, (id) => ask(id, 'POST /nothing', 'content-encoding: gzip\r\n', signIn)],
    [200, (id) => ask(id, 'GET /')],
    [400, (id) => ask(id, 'GET /%zz')],
  ]

  test('1,000 at once, half of them bad, are answered in order, each its own', async () => {
    const asked = Array.from({ length: 1000 }, (_, i) => {
      const [status, request] = kinds[i % kinds.length] ?? expect.fail()
      return { id: `r${i}`, status, bytes: request(`r${i}`) }
    })
    const connection = await RawConnection.open(app)
    connection.write(asked.map(({ bytes }) => bytes).join(''))
    for (const { id, status } of asked) expect(idAndStatusOf(await connection.answer())).toEqual([id, status])
    expect(connection.unread).toBe('')
    await connection.close()
  })

  const post = 'POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
  test.each([
    ['no header', 'GET /user HTTP/1.1\r\nx y: z\r\n\r\n'],
    ['no request line', '\0\0\0\0\r\n\r\n'],
    ['two lengths', `${post}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['headers of 17 KB', `GET /user HTTP/1.1\r\nhost: x\r\na: ${'x'.repeat(17_000)}\r\n\r\n`, 431],
    ['a chunk that is none', `${post}transfer-encoding: chunked\r\n\r\nzz\r\n\r\n`],
    ['a second chunk that is none', `${post}transfer-encoding: chunked\r\n\r\n1\r\n{\r\nzz\r\n\r\n`],
    ['CONNECT', 'CONNECT evil.test:443 HTTP/1.1\r\nhost: evil.test\r\n\r\nSSH-2.0-x\r\n'],
    ['rubbish that goes on', `\x16\x03\x01${'\0'.repeat(100_000)}`],
  ])('%s is refused last, after the answers that take longer', async (_name, rubbish, status = 400) => {
    const slow = JSON.stringify({ phone_number: guest, password: 'not this one' })
    const connection = await RawConnection.open(app)
    connection.write(
      ask('one', 'POST /login', '', slow) + ask('two', 'POST /v1/sessions', '', slow) + rubbish,
    )
    const answers = [
      ['one', 200],
      ['two', 401],
      [undefined, status],
    ]
    expect(await untilClosed(connection)).toEqual(answers)
    await expectOthersServed()
  })

  test.each([
    ['no JSON', '{'],
    ['a body that is empty', ''],
    ['no UTF-8', '\xff\xfe'],
    ['a prototype', '{"__proto__":{}}'],
    ['an unknown type', '<a/>', 'application/xml'],
  ])('%s is refused, and the request behind it answered', async (_name, body, type = 'application/json') => {
    const live = await signInGuest()
    const connection = await RawConnection.open(app)
    const headers = `content-type: ${type}\r\ncontent-length: ${body.length}\r\n`
    const refused = ask('refused', 'POST /v1/sessions', headers) + body
    const end = ask('end', 'DELETE /v1/session', `authorization: Bearer ${live}\r\n`)
    connection.write(Buffer.from(refused + end, 'latin1'))
    const status = type === 'application/xml' ? 415 : 400
    expect(idAndStatusOf(await connection.answer())).toEqual(['refused', status])
    expect(idAndStatusOf(await connection.answer())).toEqual(['end', 204])
    await connection.close()
    expect(await guestSessions()).toEqual([])
  })

  // RFC 9112, section 9.6.
  test.each([
    ['with its length', (body: string) => `content-length: ${body.length}\r\n\r\n${body}`],
    [
      'in chunks',
      (body: string) =>
        `transfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
    ],
  ])('a body that is too long, %s: either the request behind it is answered, or it is not done', async (_how, framed) => {
    const live = await signInGuest()
    const connection = await RawConnection.open(app)
    const start =
      'POST /v1/sessions HTTP/1.1\r\nhost: x\r\nx-request-id: refused\r\ncontent-type: application/json\r\n'
    const end = ask('end', 'DELETE /v1/session', `authorization: Bearer ${live}\r\n`)
    connection.write(start + framed('x'.repeat(20_000)) + end)
    const answers = await Promise.race([untilClosed(connection), sleep(1_000).then(() => null)])
    expect(answers?.[0] ?? ['refused', 413]).toEqual(['refused', 413])
    const isAnswered = answers === null || answers.length === 2
    expect(await guestSessions()).toHaveLength(isAnswered ? 0 : 1)
    await connection.close()
  })

  // The kernel has the fast path's response before Node knows that it has ended: the next request must not be
  // lost.
  test('an export whose request body is malformed ends with its last byte, after the answers before it', async () => {
    await addEvents(2_000)
    const connection = await RawConnection.open(app)
    const slow = JSON.stringify({ phone_number: guest, password: 'not this one' })
    const chunk = `1;${'a'.repeat(20_000)}\r\nx\r\n0\r\n\r\n`
    // The export waits for the sign-in before it, and is then longer than Node's buffer for a client.
    connection.write(
      ask('slow', 'POST /v1/sessions', '', slow) +
        ask('export', 'GET /v1/account/export', `${bearer()}transfer-encoding: chunked\r\n`) +
        chunk,
    )
    expect(idAndStatusOf(await connection.answer())).toEqual(['slow', 401])
    const reply = (await connection.answer()) ?? expect.fail('the export is cut off')
    expect(idAndStatusOf(reply)).toEqual(['export', 200])
    expect(JSON.parse(reply.text).events.length).toBeGreaterThanOrEqual(2_000)
    await connection.whenClosed
    expect(connection.unread).toBe('')
  })

  test('a client that half-closes its connection gets the answers to all of its requests', async () => {
    const connection = await RawConnection.open(app)
    await addEvents(20_000)
    connection.end(
      ask('in', 'POST /v1/sessions', '', signIn) +
        ask('export', 'GET /v1/account/export', bearer()) +
        ask('docs', 'GET /docs/js/scalar.js') +
        ask('me', 'GET /v1/session', bearer()),
    )
    expect(idAndStatusOf(await connection.answer())).toEqual(['in', 201])
    const reply = (await connection.answer()) ?? expect.fail('the export is cut off')
    expect(JSON.parse(reply.text).events.length).toBeGreaterThanOrEqual(20_000)
    expect(idAndStatusOf(await connection.answer())).toEqual(['docs', 200])
    expect(idAndStatusOf(await connection.answer())).toEqual(['me', 200])
    await connection.whenClosed
    expect(await guestSessions()).toHaveLength(1)
  })

  /** Signs the guest in, with enough events that an export takes a while. */
  async function guestWithPast(detail = '{"a":"b"}'): Promise<string> {
    const live = await signInGuest()
    const { id } = await app.services.accounts.get(guest)
    const row = { at: Date.now(), kind: 'signed_in' as const, account_id: id, detail }
    for (let i = 0; i < 20; i++) {
      const rows = Array.from({ length: 500 }, () => ({ ...row, id: `past-${eventsAdded++}` }))
      await app.byHand.insertInto('hufu_events').values(rows).execute()
    }
    return live
  }

  const exportOf = (live: string, version: string, headers = '') =>
    `GET /v1/account/export HTTP/${version}\r\nhost: x\r\nauthorization: Bearer ${live}\r\n${headers}\r\n`

  // HTTP/1.0 has no chunks: the body ends with the connection, and nothing may follow it.
  test.each([
    ['no HTTP', 'no HTTP\r\n\r\n'],
    ['an empty line', '\r\n'],
    ['a second request', 'GET /livez HTTP/1.0\r\n\r\n'],
    ['CONNECT', 'CONNECT evil.test:443 HTTP/1.1\r\nhost: evil.test\r\n\r\n'],
  ])('an export by HTTP/1.0 is whole, with %s behind its request', async (_name, rest) => {
    const live = await guestWithPast()
    for (const headers of ['', 'connection: keep-alive\r\n']) {
      const connection = await RawConnection.open(app)
      connection.write(exportOf(live, '1.0', headers) + rest)
      await connection.whenClosed
      const [head = '', body = ''] = connection.unread.split(/\r\n\r\n(.*)/s)
      expect(head).toMatch(/^HTTP\/1\.1 200 /)
      expect(head).toMatch(/connection: close/i)
      expect(JSON.parse(body).events.length).toBeGreaterThanOrEqual(10_000)
    }
  })

  // RFC 9112, section 9.3.2: requests are processed in parallel only where all are safe.
  test.each([
    ['HTTP/1.1', '1.1', ''],
    ['HTTP/1.0 that stays open', '1.0', 'connection: keep-alive\r\n'],
  ])('what is asked behind an export by %s is done and answered, or not done', async (_name, version, headers) => {
    const live = await guestWithPast()
    const connection = await RawConnection.open(app)
    const end = `DELETE /v1/session HTTP/${version}\r\nhost: x\r\nx-request-id: end\r\nauthorization: Bearer ${live}\r\n${headers}\r\n`
    connection.write(exportOf(live, version, headers) + end)
    const first = (await connection.answer()) ?? expect.fail('the export is cut off')
    expect(JSON.parse(first.text).events.length).toBeGreaterThanOrEqual(10_000)
    const second = version === '1.1' ? await connection.answer() : null
    if (version === '1.1') expect(idAndStatusOf(second)).toEqual(['end', 204])
    else await connection.whenClosed
    expect(await guestSessions()).toHaveLength(second === null ? 1 : 0)
    await connection.close()
  })

  test('a request with side effects waits for the answers before it, and a safe one does not', async () => {
    const live = await guestWithPast()
    const connection = await RawConnection.open(app)
    connection.stopReading()
    connection.write(
      exportOf(live, '1.1') +
        ask('me', 'GET /v1/sessions', `authorization: Bearer ${live}\r\n`) +
        ask('end', 'POST /v1/session/end', `authorization: Bearer ${live}\r\n`),
    )
    const seen = (id: string) => app.lines.some((line) => line.includes(`"${id}"`))
    await expectOthersServed()
    expect(await guestSessions()).toHaveLength(1)
    connection.goOnReading()
    expect((await connection.answer())?.status).toBe(200)
    expect(idAndStatusOf(await connection.answer())).toEqual(['me', 200])
    expect(idAndStatusOf(await connection.answer())).toEqual(['end', 204])
    await vi.waitFor(() => expect(seen('end')).toBe(true))
    expect(await guestSessions()).toHaveLength(0)
    await connection.close()
  })

  test('a connection that always has the next request under way does not keep sent responses', async () => {
    const responses: WeakRef<object>[] = []
    const remember = (_request: unknown, response: object) => void responses.push(new WeakRef(response))
    app.server.server.on('request', remember)
    const connection = await RawConnection.open(app)
    const headOf = (i: number) =>
      `POST /v1/sessions HTTP/1.1\r\nhost: hufu.test\r\nx-request-id: next${i}\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n`
    const count = 1_000
    connection.write(headOf(0))
    for (let i = 1; i <= count; i++) {
      connection.write(`1${headOf(i)}`)
      expect((await connection.answer())?.headers['x-request-id']).toBe(`next${i - 1}`)
    }
    app.server.server.off('request', remember)
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const kept = () => responses.filter((response) => response.deref() !== undefined).length
    await vi.waitFor(() => {
      collectGarbage()
      expect(kept()).toBeLessThan(count / 10)
    })
    expect(responses.length).toBeGreaterThanOrEqual(count)
    await connection.close()
  })

  test('one connection has few requests processed at once, however many it pipelines', async () => {
    const { verification } = app.services
    const verify = verification.verify.bind(verification)
    let [current, most, all] = [0, 0, 0]
    const spy = vi.spyOn(verification, 'verify').mockImplementation(async (token) => {
      most = Math.max(most, ++current)
      all++
      await sleep(1)
      current--
      return await verify(token)
    })
    const connection = await RawConnection.open(app)
    const count = 300
    const made = `authorization: Bearer hf_${'A'.repeat(65)}\r\n`
    connection.write(
      Array.from({ length: count }, (_, i) => ask(`many${i}`, 'GET /v1/session', made)).join(''),
    )
    for (let i = 0; i < count; i++)
      expect(idAndStatusOf(await connection.answer())).toEqual([`many${i}`, 401])
    expect(all).toBe(count)
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThan(20)
    spy.mockRestore()
    await connection.close()
  })

  test('requests behind an export that the client does not read are not read endlessly', async () => {
    // More than the kernel buffers for a client that does not read.
    const live = await guestWithPast(JSON.stringify({ a: 'x'.repeat(2_000) }))
    const connection = await RawConnection.open(app)
    connection.stopReading()
    let seen = 0
    const count = ({ headers }: { headers: { 'x-request-id'?: string } }) => {
      if (headers['x-request-id']?.startsWith('waits')) seen++
    }
    app.server.server.on('request', count)
    connection.write(exportOf(live, '1.1'))
    const waiting = Array.from({ length: 50_000 }, (_, i) => ask(`waits${i}`, 'POST /v1/sessions', '', '{}'))
    connection.write(waiting.join(''))
    await connection.whenClosed
    expect(seen).toBeGreaterThan(1_000)
    expect(seen).toBeLessThan(2_000)
    app.server.server.off('request', count)
    await expectOthersServed()
  })

  test('a server that stops sends its answers to a client that reads slowly', async () => {
    const stopping = await startApp(databaseUrl)
    const { byteLength } = await (await fetch(`${stopping.url}/docs/js/scalar.js`)).arrayBuffer()
    const count = Math.ceil(30_000_000 / byteLength)
    const connection = await RawConnection.open(stopping)
    connection.stopReading()
    const served = once(stopping.server.server, 'request')
    connection.write(ask('docs', 'GET /docs/js/scalar.js').repeat(count))
    await served
    const closed = stopping.server.close()
    // As `serve` does until all is answered.
    const closing = setInterval(() => stopping.server.server.closeIdleConnections(), 10)
    connection.goOnReading()
    for (let i = 0; i < count; i++) expect(idAndStatusOf(await connection.answer())).toEqual(['docs', 200])
    await connection.whenClosed
    await closed
    clearInterval(closing)
    await stopping.close()
  })

  test('a request whose body is malformed is answered after one that was answered at once', async () => {
    const quick = (id: string) => ask(id, 'GET /v1/session', bearer())
    const broken = ask('broken', 'GET /nowhere', 'transfer-encoding: chunked\r\n')
    const connection = await RawConnection.open(app)
    for (const id of ['a', 'b', 'c']) {
      connection.write(quick(id))
      expect(idAndStatusOf(await connection.answer())).toEqual([id, 200])
    }
    connection.write(`${quick('d')}${broken}fffffffffffffffff\r\nab\r\n`)
    expect(await untilClosed(connection)).toEqual([
      ['d', 200],
      ['broken', 404],
    ])
  })
})

describe('a request that is cut off', () => {
  const whole = ask('cut', 'POST /v1/sessions', '', signIn)
  const chunks = `9\r\n${signIn.slice(0, 9)}\r\n${(signIn.length - 9).toString(16)};x=y\r\n${signIn.slice(9)}\r\n0\r\n\r\n`
  const inChunks = `POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${chunks}`

  test.each([
    ['with a length', whole],
    ['in chunks', inChunks],
  ])('%s, after each byte, by an end or by a reset, does nothing', async (_name, request) => {
    for (let bytes = 0; bytes < request.length; bytes++) {
      const [ended, reset] = [await RawConnection.open(app), await RawConnection.open(app)]
      ended.end(request.slice(0, bytes))
      for (const answer of await untilClosed(ended)) expect(answer).toEqual([undefined, 400])
      reset.write(request.slice(0, bytes))
      await reset.reset()
    }
    await expectOthersServed()
    expect(await guestSessions()).toEqual([])
    expect(app.lines.filter((line) => !line.startsWith('{"level":30'))).toEqual([])
    // The complete request would have signed in.
    const connection = await RawConnection.open(app)
    connection.write(request)
    expect((await connection.answer())?.status).toBe(201)
    await connection.close()
  })

  test('a sign-in whose answer no client read is a session in the list, and the next one replaces it', async () => {
    const connection = await RawConnection.open(app)
    connection.stopReading()
    connection.write(whole)
    const [orphan] = await vi.waitFor(
      async () => {
        const sessions = await guestSessions()
        expect(sessions).toHaveLength(1)
        return sessions
      },
      { timeout: 10_000 },
    )
    await connection.reset()
    const again = await send(app, ask('again', 'POST /v1/sessions', 'connection: close\r\n', signIn))
    expect(again.status).toBe(201)
    const sessions = await guestSessions()
    expect(sessions).toHaveLength(1)
    expect(sessions[0]?.id).not.toBe(orphan?.id)
  })
})

describe('an upgrade', () => {
  const handshake = [
    'connection: upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
  ]
  const lines = (headers: readonly string[]) => headers.map((header) => `${header}\r\n`).join('')

  async function routes(): Promise<string[]> {
    const answer = await fetch(`${app.url}/openapi.json`)
    const { paths } = (await answer.json()) as { paths: Record<string, object> }
    return Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path.replace('{id}', 'x')}`),
    )
  }

  /** The response to a request on a connection of its own, which must end with it. */
  async function answersUntilClosed(bytes: string | Buffer): Promise<unknown[]> {
    const connection = await RawConnection.open(app)
    connection.write(bytes)
    return await untilClosed(connection)
  }

  test('to WebSocket is refused on every route, signed in or not, and ends the connection', async () => {
    expect((await routes()).length).toBeGreaterThan(18)
    for (const route of [...(await routes()), 'GET /openapi.json', 'GET /docs']) {
      for (const headers of [lines(handshake), lines(handshake) + bearer(), 'upgrade: h2c, WebSocket\r\n']) {
        const answers = await answersUntilClosed(ask('upgrade', route, headers))
        expect({ route, answers }).toEqual({ route, answers: [['upgrade', 400]] })
      }
    }
    const reply = await send(app, ask('one', 'GET /v1/session', lines(handshake) + bearer()))
    expect(JSON.parse(reply.text)).toMatchObject({ code: 'bad_request', request_id: 'one' })
    expect(await app.services.sessions.list((await app.services.accounts.get(person.phone)).id)).toHaveLength(
      1,
    )
  })

  test.each([
    ['without a key', lines(handshake.slice(0, 3))],
    ['of version 7', lines(handshake).replace('13', '7')],
    ['with a strange extension', `${lines(handshake)}sec-websocket-extensions: constructor\r\n`],
    ['with a length', `${lines(handshake)}content-length: 0\r\n`],
  ])('to WebSocket %s is refused just so, and what is pipelined behind it is not waited for', async (_name, headers) => {
    const both = ask('one', 'GET /user', headers) + ask('two', 'GET /livez')
    expect(await answersUntilClosed(both)).toEqual([['one', 400]])
  })

  test('frames after a handshake have no effect', async () => {
    const frame = Buffer.from('818537fa213d7f9f4d5158', 'hex')
    const both = Buffer.concat([Buffer.from(ask('one', 'GET /user', lines(handshake))), frame])
    expect(await answersUntilClosed(both)).toEqual([['one', 400]])
  })

  test('30 KB in a header of the handshake are too much', async () => {
    const long = `sec-websocket-protocol: a${' '.repeat(30_000)}b\r\n`
    expect(await answersUntilClosed(ask('one', 'GET /user', lines(handshake) + long))).toEqual([
      [undefined, 431],
    ])
  })

  // RFC 9110, section 7.8: a server may ignore the upgrade, and clients that offer h2c with each request
  // depend on that.
  test('to HTTP/2 is ignored: the request is answered as any other, body included, and ends the connection', async () => {
    const h2c = 'connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n'
    const user = ask('one', 'GET /user', `${h2c}token: ${token}\r\n`) + ask('two', 'GET /livez', h2c)
    expect(await answersUntilClosed(user)).toEqual([['one', 200]])
    expect(await answersUntilClosed(ask('one', 'POST /v1/sessions', h2c, signIn))).toEqual([['one', 201]])
  })
})

describe('a slow client', () => {
  /** Sends its bytes one at a time, for as long as the server accepts them. */
  function drip(connection: RawConnection, byte: string): void {
    const timer = setInterval(() => connection.write(byte), 200)
    void connection.whenClosed.then(() => clearInterval(timer))
  }

  test.concurrent('gets an error, or is disconnected, and no other client waits', async () => {
    const begun = 'POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
    const slow = {
      'says nothing': { request: '', byte: null, status: 408 },
      'sends headers slowly': { request: `${begun}a: `, byte: 'x', status: 408 },
      'sends header after header': { request: begun, byte: 'a: b\r\n', status: 408 },
      'sends a body slowly': { request: `${begun}content-length: 9999\r\n\r\n`, byte: ' ', status: 408 },
      'sends chunks slowly': {
        request: `${begun}transfer-encoding: chunked\r\n\r\n`,
        byte: '1\r\n \r\n',
        status: 408,
      },
    }
    const ends = Object.entries(slow).map(async ([name, { request, byte, status }]) => {
      const connection = await RawConnection.open(app)
      connection.write(request)
      if (byte !== null) drip(connection, byte)
      return { name, answers: await untilClosed(connection), expected: [[undefined, status]] }
    })
    await expectOthersServed()
    for (const { name, answers, expected } of await Promise.all(ends))
      expect({ name, answers }).toEqual({ name, answers: expected })
    await expectOthersServed()
  })

  // Long responses through Fastify, and short ones by the fast path: all of them would be hundreds of
  // megabytes.
  test.concurrent.each([
    { path: '/openapi.json', count: 5_000, made: 500, headers: () => '' },
    { path: '/user', count: 300_000, made: 100_000, headers: () => `token: ${token}\r\n` },
  ])('a client that reads no answers of $path is disconnected, and few of them are made', async ({
    path,
    count,
    made,
    headers,
  }) => {
    const connection = await RawConnection.open(app)
    connection.stopReading()
    const before = process.memoryUsage().rss
    connection.write(
      Array.from({ length: count }, (_, i) => ask(`deaf${i}`, `GET ${path}`, headers())).join(''),
    )
    const lines = (status: number) =>
      app.lines.filter(
        (line) => line.includes('"deaf') && line.includes(path) && line.includes(`"status":${status}`),
      )
    await expectOthersServed()
    const cut = await vi.waitFor(
      () => {
        const found = lines(499)
        expect(found).not.toEqual([])
        return found
      },
      { timeout: 50_000, interval: 250 },
    )
    expect(JSON.parse(cut[0] ?? '')).toMatchObject({ level: 30, path })
    expect(lines(200).length).toBeLessThan(made)
    expect(process.memoryUsage().rss - before).toBeLessThan(250e6)
    await expectOthersServed()
    await connection.close()
  })

  test.concurrent('a client that reads a byte a second is disconnected, and delays no other', async () => {
    const accepted: Socket[] = []
    app.server.server.on('connection', (socket: Socket) => accepted.push(socket))
    let taken = 0
    const client = connect({
      port: Number(new URL(app.url).port),
      host: '127.0.0.1',
      onread: {
        buffer: Buffer.alloc(1),
        callback() {
          taken++
          setTimeout(() => client.resume(), 1_000)
          return false
        },
      },
    })
    client.on('error', () => {})
    // More than the kernel buffers for a client that does not read.
    client.write(ask('slow', 'GET /docs/js/scalar.js').repeat(15))
    await vi.waitFor(() => expect(taken).toBeGreaterThan(0), 15_000)
    const ours = accepted.find(({ remotePort }) => remotePort === client.localPort) ?? expect.fail()
    await vi.waitFor(() => expect(ours.destroyed).toBe(true), { timeout: 50_000, interval: 250 })
    expect(taken).toBeLessThan(60)
    await expectOthersServed()
    client.destroy()
  })

  test.concurrent.each([
    ['what is no HTTP', 'no HTTP\r\n\r\n'],
    ['CONNECT', 'CONNECT hufu.test:443 HTTP/1.1\r\nhost: hufu.test\r\n\r\n'],
  ])('who is refused for %s and does not hang up is cut off', async (_name, bytes) => {
    const accepted: Socket[] = []
    app.server.server.on('connection', (socket: Socket) => accepted.push(socket))
    // The client's side stays open when the server has sent everything.
    const client = connect({ port: Number(new URL(app.url).port), host: '127.0.0.1', allowHalfOpen: true })
    client.resume()
    client.on('error', () => {})
    client.write(bytes)
    await once(client, 'end')
    const ours = accepted.find(({ remotePort }) => remotePort === client.localPort) ?? expect.fail()
    expect(ours.destroyed).toBe(false)
    await vi.waitFor(() => expect(ours.destroyed).toBe(true), { timeout: 30_000, interval: 250 })
    client.destroy()
  })

  test('the script of /docs is in memory once, however many clients request it and do not read it', async () => {
    const path = '/docs/js/scalar.js'
    const { byteLength } = await (await fetch(`${app.url}${path}`)).arrayBuffer()
    expect(byteLength).toBeGreaterThan(1_000_000)
    const before = process.memoryUsage()
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
    socket.pause()
    socket.write(ask('docs', `GET ${path}`).repeat(200))
    for (let i = 0; i < 20; i++) {
      await expectOthersServed()
      const { heapUsed, external } = process.memoryUsage()
      expect(heapUsed + external - before.heapUsed - before.external).toBeLessThan(10 * byteLength)
      await sleep(50)
    }
    socket.destroy()
  })

  test('5,000 idle connections delay no other client', async () => {
    const idle: RawConnection[] = []
    for (let i = 0; i < 50; i++) {
      const some = await Promise.all(Array.from({ length: 100 }, () => RawConnection.open(app)))
      for (const connection of some) connection.write(ask('idle', 'GET /livez'))
      for (const connection of some) expect(idAndStatusOf(await connection.answer())).toEqual(['idle', 200])
      idle.push(...some)
    }
    await expectOthersServed()
    const again = idle[0] ?? expect.fail()
    again.write(ask('again', 'GET /livez'))
    expect(idAndStatusOf(await again.answer())).toEqual(['again', 200])
    await Promise.all(idle.map((connection) => connection.close()))
  })
})
