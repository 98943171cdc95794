// Requests behind others on one connection: bodies over the limit are refused before they wait, and a client
// is not called slow for the time in which the server did not read.
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { RawConnection } from '../support/raw-http.ts'

let app: RunningApp
let drop: () => Promise<void>
const responses = new Map<string, ServerResponse>()
/** Tokens whose check waits. */
const held = new Map<string, Promise<void>>()

beforeAll(async () => {
  const fresh = await (databases[0] ?? expect.fail()).create()
  drop = fresh.drop
  app = await startApp(fresh.url)
  await addPerson(app.services)
  app.server.server.on('request', ({ headers }: IncomingMessage, response: ServerResponse) => {
    responses.set(String(headers['x-request-id']), response)
  })
  const { verification } = app.services
  const verify = verification.verify.bind(verification)
  vi.spyOn(verification, 'verify').mockImplementation(async (token) => {
    await held.get(token)
    return await verify(token)
  })
})

afterAll(async () => {
  await app?.close()
  await drop?.()
})

let last = 0
/** A request that is answered 401 once it is released, and the function that releases it. */
function heldRequest(): { bytes: string; letGo: () => void } {
  const token = `hf_${String(last++).padStart(65, 'A')}`
  const { promise, resolve } = Promise.withResolvers<void>()
  held.set(token, promise)
  return { bytes: ask('held', 'GET /v1/session', `authorization: Bearer ${token}\r\n`), letGo: resolve }
}

const json = 'content-type: application/json\r\n'

function ask(id: string, line: string, headers = '', body = ''): string {
  return `${line} HTTP/1.1\r\nhost: hufu.test\r\nx-request-id: ${id}\r\n${headers}\r\n${body}`
}

function signIn(
  id: string,
  body = JSON.stringify({ phone_number: person.phone, password: 'wrong' }),
): string {
  return ask(id, 'POST /v1/sessions', `${json}content-length: ${body.length}\r\n`, body)
}

async function newToken(): Promise<string> {
  const body = JSON.stringify({ phone_number: person.phone, password: person.password })
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${app.url}/v1/sessions`, { method: 'POST', headers, body })
  return ((await answer.json()) as { token: string }).token
}

/** Everything until the server ends the connection. */
async function answersOf(connection: RawConnection): Promise<unknown[]> {
  const all: unknown[] = []
  for (;;) {
    const reply = await connection.answer()
    if (reply === null) return all
    all.push([reply.headers['x-request-id'], reply.status])
  }
}

const isAnswered = (id: string) => responses.get(id)?.headersSent === true

describe('a body over the limit', () => {
  const announced = `${json}content-length: 10000000000\r\n`
  test.each([
    ['announced', 'POST /v1/sessions', announced],
    [
      'announced by a client that waits to be asked',
      'POST /v1/sessions',
      `expect: 100-continue\r\n${announced}`,
    ],
    ['of the classic API', 'POST /login', announced],
    ['on a route that takes none', 'POST /v1/session/rotate', announced],
    ['of a GET', 'GET /v1/session', announced],
    ['on a path that does not exist', 'POST /nowhere', announced],
  ])('%s is refused before the request waits for its turn, and ends the connection', async (name, line, headers) => {
    const id = `big${last++}`
    const { bytes, letGo } = heldRequest()
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.write(bytes + signIn(`waits-${id}`) + ask(id, line, headers))
    await vi.waitFor(() => expect(isAnswered(id)).toBe(true))
    expect(isAnswered(`waits-${id}`)).toBe(false)
    letGo()
    await once(socket, 'close')
    const answers = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status))
    expect({ name, answers }).toEqual({ name, answers: [401, 401, 413] })
    expect(text.split('HTTP/1.1 413')[1]).toMatch(/connection: close/i)
  })

  const chunk = (bytes: number) => `${bytes.toString(16)}\r\n${' '.repeat(bytes)}\r\n`
  const chunked = `${json}transfer-encoding: chunked\r\n`

  test('in chunks is refused as soon as it is too long, while the request waits', async () => {
    const { bytes, letGo } = heldRequest()
    const connection = await RawConnection.open(app)
    connection.write(bytes + ask('grows', 'POST /v1/sessions', chunked))
    for (let i = 0; i < 16; i++) connection.write(chunk(1024))
    await sleep(100)
    expect(isAnswered('grows')).toBe(false)
    connection.write(chunk(1))
    await vi.waitFor(() => expect(isAnswered('grows')).toBe(true))
    letGo()
    expect(await answersOf(connection)).toEqual([
      ['held', 401],
      ['grows', 413],
    ])
  })

  test('in chunks within the limit waits, and is read whole', async () => {
    const { bytes, letGo } = heldRequest()
    const connection = await RawConnection.open(app)
    const body = JSON.stringify({ phone_number: person.phone, password: person.password })
    const parts = [bytes, ask('fits', 'POST /v1/sessions', chunked), chunk(8_000)]
    for (const part of parts) connection.write(part)
    await vi.waitFor(() => expect(responses.has('fits')).toBe(true))
    connection.write(`${body.length.toString(16)}\r\n${body}\r\n${chunk(8_000)}`)
    await sleep(50)
    letGo()
    expect((await connection.answer())?.status).toBe(401)
    connection.write('0\r\n\r\n')
    expect((await connection.answer())?.status).toBe(201)
    connection.write(ask('next', 'GET /livez'))
    expect((await connection.answer())?.status).toBe(200)
    await connection.close()
  })

  test('is refused to a client that reads only when it has sent everything', async () => {
    for (let i = 0; i < 5; i++) {
      const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
      const errors: unknown[] = []
      socket.on('error', (error) => errors.push(error))
      socket.pause()
      socket.write(ask('deaf', 'POST /v1/sessions', `${json}content-length: 8000000\r\n`))
      for (let sent = 0; sent < 8; sent++) {
        await new Promise((resolve) => socket.write(Buffer.alloc(1_000_000, ' '), resolve))
        await sleep(5)
      }
      let text = ''
      socket.on('data', (data) => {
        text += data
      })
      socket.resume()
      await once(socket, 'close')
      expect({ status: text.slice(0, 12), errors }).toEqual({ status: 'HTTP/1.1 413', errors: [] })
    }
  })

  test('is refused to a client that never ends, and its connection is closed all the same', async () => {
    const socket = connect({ port: Number(new URL(app.url).port), host: '127.0.0.1', allowHalfOpen: true })
    socket.on('error', () => {})
    socket.resume()
    const [ours] = await Promise.all([
      once(app.server.server, 'connection').then(([one]) => one as { destroyed: boolean }),
      once(socket, 'connect'),
    ])
    socket.write(ask('endless', 'POST /v1/sessions', announced))
    const timer = setInterval(() => socket.write(' '), 50)
    await vi.waitFor(() => expect(ours.destroyed).toBe(true), { timeout: 10_000 })
    clearInterval(timer)
    socket.destroy()
  })
})

describe('the time for a request to come in full', () => {
  const whole = signIn('half')
  /** More than one read takes, so that the rest is not read while the server reads nothing. */
  const padding = (i: number) => `x-padding: ${String(i).repeat(6_000)}\r\n`
  const sixteen = Array.from({ length: 16 }, (_, i) =>
    ask(`one-of-16-${i}`, 'POST /v1/session/end', padding(i % 10)),
  ).join('')

  beforeAll(() => {
    // Node looks every five seconds.
    Object.assign(app.server.server, { headersTimeout: 500, requestTimeout: 1_000 })
  })

  test.concurrent.each([
    ['in its headers', 40],
    ['in its body', whole.length - 5],
  ])('does not run while the connection is not read: a request cut %s behind 16', async (_name, cut) => {
    const { bytes, letGo } = heldRequest()
    const connection = await RawConnection.open(app)
    connection.write(bytes + sixteen + whole.slice(0, cut))
    await sleep(200)
    connection.write(whole.slice(cut))
    await sleep(6_500)
    letGo()
    const answers = []
    for (let i = 0; i < 18; i++) answers.push((await connection.answer())?.status)
    expect(answers).toEqual(Array(18).fill(401))
    await connection.close()
  })

  test.concurrent.each([
    ['in its headers', 40],
    ['in its body', whole.length - 5],
  ])(
    'begins when the answers before it are sent: a request cut %s',
    { timeout: 40_000 },
    async (_name, cut) => {
      const { bytes, letGo } = heldRequest()
      const connection = await RawConnection.open(app)
      connection.write(bytes + whole.slice(0, cut))
      await sleep(6_500)
      letGo()
      expect((await connection.answer())?.status).toBe(401)
      const began = performance.now()
      const answers = await answersOf(connection)
      expect(answers).toEqual([[undefined, 408]])
      expect(performance.now() - began).toBeGreaterThan(10_000)
    },
  )

  test.concurrent.each([
    ['in its headers', 40],
    ['in its body', whole.length - 5],
  ])(
    'begins when the answers before it are sent, also soon after it began: a request cut %s behind 17',
    { timeout: 40_000 },
    async (_name, cut) => {
      const { bytes, letGo } = heldRequest()
      const connection = await RawConnection.open(app)
      // One read takes all of this. The server reads no more until half of the requests are answered.
      const short = Array.from({ length: 16 }, (_, i) => ask(`short-${i}`, 'POST /v1/session/end'))
      connection.write(bytes + short.join('') + whole.slice(0, cut))
      await sleep(200)
      letGo()
      for (let i = 0; i < 17; i++) expect((await connection.answer())?.status).toBe(401)
      const began = performance.now()
      expect(await answersOf(connection)).toEqual([[undefined, 408]])
      expect(performance.now() - began).toBeGreaterThan(10_000)
    },
  )

  test.concurrent('begins once more when the headers have come, and then ends a body that comes byte by byte', {
    timeout: 70_000,
  }, async () => {
    const { bytes, letGo } = heldRequest()
    const connection = await RawConnection.open(app)
    connection.write(bytes + whole.slice(0, 40))
    await sleep(6_500)
    letGo()
    expect((await connection.answer())?.status).toBe(401)
    const head = whole.indexOf('\r\n\r\n') + 4
    connection.write(whole.slice(40, head))
    let sent = head
    const timer = setInterval(() => connection.write(whole.slice(sent, ++sent)), 1_000)
    await sleep(14_000)
    const answers = await answersOf(connection)
    clearInterval(timer)
    expect(answers).toEqual([[undefined, 408]])
    expect(sent).toBeLessThan(whole.length)
  })

  test.concurrent('still ends a connection that has sent half of a request and nothing before it', async () => {
    for (const cut of [0, 40, whole.length - 5]) {
      const connection = await RawConnection.open(app)
      connection.write(whole.slice(0, cut))
      expect(await answersOf(connection)).toEqual([[undefined, 408]])
    }
  })

  test('does not run while this process is paused', { timeout: 30_000 }, async () => {
    const check = ask('check', 'GET /v1/session', `authorization: Bearer ${await newToken()}\r\n`)
    // The fast path answers a token that was verified before.
    const known = await RawConnection.open(app)
    known.write(check)
    expect((await known.answer())?.status).toBe(200)
    await known.close()
    const requests = [
      { text: whole, cut: 40, status: 401 },
      { text: whole, cut: whole.length - 5, status: 401 },
      { text: check, cut: 40, status: 200 },
    ]
    const connections = await Promise.all(requests.map(() => RawConnection.open(app)))
    const send = (part: (request: { text: string; cut: number }) => string) => {
      for (const [i, request] of requests.entries()) connections[i]?.write(part(request))
    }
    send(({ text, cut }) => text.slice(0, cut))
    await sleep(100)
    // Node looks at its timers next, and reads what has come after that.
    await setImmediate()
    send(({ text, cut }) => text.slice(cut))
    const until = performance.now() + 5_500
    while (performance.now() < until);
    await sleep(100)
    send(({ text }) => text)
    for (const [i, { status }] of requests.entries()) {
      for (let n = 0; n < 2; n++) expect((await connections[i]?.answer())?.status).toBe(status)
      await connections[i]?.close()
    }
  })
})
