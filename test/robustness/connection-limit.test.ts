// The limit of connections, with real sockets: those within it are served, the next one is refused at once,
// and closed ones make room.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { connectionLimit } from '../../src/http/connection-limit.ts'
import { type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'

const [sqlite = expect.fail()] = databases
const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(max: number): Promise<RunningApp> {
  const { url, drop } = await sqlite.create()
  closers.push(drop)
  const app = await startApp(url, { environment: { HUFU_MAX_CONNECTIONS: String(max) } })
  closers.push(() => app.close())
  return app
}

async function open({ url }: RunningApp): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {})
  closers.push(async () => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Sends one request on a connection, and returns all bytes of the response. */
async function ask(socket: Socket): Promise<string> {
  socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n')
  return String((await once(socket, 'data'))[0])
}

test('connections up to the limit are served, and the next one is answered 503 and closed before its request', async () => {
  const app = await start(20)
  const inside = await Promise.all(Array.from({ length: 20 }, () => open(app)))
  for (const socket of inside) expect(await ask(socket)).toContain('HTTP/1.1 200')
  const next = await open(app)
  const [answered] = await once(next, 'data')
  expect(String(answered)).toMatch(
    /^HTTP\/1\.1 503 .*retry-after: 1\r\n.*connection: close\r\n.*"code":"overloaded"/is,
  )
  await once(next, 'end')
  // Those within the limit are not affected, and one that closes makes room.
  for (const socket of inside) expect(await ask(socket)).toContain('HTTP/1.1 200')
  inside[0]?.destroy()
  await expect.poll(async () => await ask(await open(app))).toContain('HTTP/1.1 200')
})

test('a thousand connections over the limit leave no more behind than may be refused at once', async () => {
  const app = await start(20)
  for (let i = 0; i < 20; i++) await ask(await open(app))
  const over = await Promise.all(
    Array.from({ length: 1_000 }, async () => {
      const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
      socket.on('error', () => {})
      socket.resume()
      closers.push(async () => socket.destroy())
      await once(socket, 'close')
    }),
  )
  expect(over).toHaveLength(1_000)
  const left = await new Promise<number>((resolve, reject) =>
    app.server.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )
  expect(left).toBeLessThanOrEqual(20 + 50)
})

test('near the limit, unused connections are closed earlier', async () => {
  const app = await start(10)
  const keepAlive = async () => /keep-alive: timeout=(\d+)/i.exec(await ask(await open(app)))?.[1]
  expect(await keepAlive()).toBe('75')
  for (let i = 0; i < 7; i++) await open(app)
  await expect.poll(keepAlive).toBe('5')
})

describe('the limit stays below that of open files', () => {
  test.each([
    { wanted: 10_000, openFiles: 65_536, limit: 10_000 },
    { wanted: 10_000, openFiles: 1_024, limit: 824 },
    { wanted: 10_000, openFiles: null, limit: 10_000 },
    { wanted: 50, openFiles: 100, limit: 1 },
  ])('$wanted of $openFiles files: $limit', ({ wanted, openFiles, limit }) => {
    expect(connectionLimit(wanted, openFiles)).toBe(limit)
  })

  test.runIf(process.platform === 'linux')('which is known on Linux', () => {
    expect(connectionLimit(Number.MAX_SAFE_INTEGER)).toBeLessThan(Number.MAX_SAFE_INTEGER)
  })
})
