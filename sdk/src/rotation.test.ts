// A new token for the session: lost responses, concurrent calls, other clients, and a failing storage.
import { expect, test, vi } from 'vitest'
import { createClient, type HufuStorage, memoryStorage } from './client.ts'
import {
  type Answering,
  baseUrl,
  done,
  fakeNetwork,
  held,
  issued,
  json,
  offline,
  problem,
  rotated,
  signedIn,
} from './fake-network.ts'

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const input = { phoneNumber: '12345678901', password: '123456' }

async function signedInClient(storage: HufuStorage = memoryStorage()) {
  const network = fakeNetwork(() => issued('1'))
  const client = createClient({ baseUrl, transport: network.transport, storage, onBackgroundError: () => {} })
  await client.signIn(input)
  const told = vi.fn()
  client.onSignedIn(told)
  client.onSignedOut(told)
  return { client, network, storage, told }
}

/** A server that issues `token-2` for `token-1` at each request, and then accepts no other token. */
const rotatingServer: Answering = ({ path, token }) => {
  if (path.endsWith('/end')) return done()
  if (path === '/v1/session/rotate') return rotated('2')
  return token === 'token-2' ? signedIn('1') : problem(401, 'token_unknown')
}

test('The new token is stored before the promise resolves, and is used from then on', async () => {
  const { client, network, storage, told } = await signedInClient()
  network.answer = rotatingServer
  const session = await client.rotate()
  expect(session.id).toBe('session-1')
  expect(network.asked.at(-1)).toMatchObject({ method: 'POST', path: '/v1/session/rotate', token: 'token-1' })
  expect(await storage.get('hufu')).toContain('"token":"token-2"')
  await client.me()
  expect(network.asked.at(-1)).toMatchObject({ token: 'token-2' })
  expect(told).not.toHaveBeenCalled()
})

test('The old token is not signed out: the session continues', async () => {
  const { client, network } = await signedInClient()
  network.answer = rotatingServer
  await client.rotate()
  await client.me()
  expect(network.asked.map(({ path }) => path)).not.toContain('/v1/session/end')
})

test('Concurrent rotations are one request', async () => {
  const { client, network } = await signedInClient()
  network.answer = rotatingServer
  await Promise.all([client.rotate(), client.rotate(), client.rotate()])
  expect(network.asked.filter(({ path }) => path === '/v1/session/rotate')).toHaveLength(1)
})

test('After a lost response, the next start first repeats the rotation with the old token', async () => {
  const { client, network, storage } = await signedInClient()
  network.answer = offline
  await expect(client.rotate()).rejects.toMatchObject({ code: 'network' })
  expect(client.state.is).toBe('signed_in')

  const after = fakeNetwork(rotatingServer)
  const next = createClient({ baseUrl, transport: after.transport, storage })
  expect(await next.start()).toMatchObject({ is: 'signed_in', verified: false })
  await vi.waitFor(() => expect(next.state).toMatchObject({ is: 'signed_in', verified: true }))
  await next.me()
  expect(after.asked.map(({ path, token }) => `${path} ${token}`)).toEqual([
    '/v1/session/rotate token-1',
    '/v1/session token-2',
    '/v1/session token-2',
  ])
})

test('After a lost response, the next call repeats the rotation, although the server no longer accepts the old token', async () => {
  const { client, network, told } = await signedInClient()
  network.answer = offline
  await client.rotate().catch(() => {})
  network.answer = rotatingServer
  await client.me()
  expect(client.state.is).toBe('signed_in')
  expect(told).not.toHaveBeenCalled()
})

test('A rotation waits for the calls under way, and later calls wait for it', async () => {
  const { client, network } = await signedInClient()
  const late = { call: held<Response>(), rotation: held<Response>() }
  network.answer = ({ path, token }) => {
    if (path === '/v1/session/rotate') return late.rotation.promise
    return token === 'token-1' ? late.call.promise : json(200, { sessions: [] })
  }
  const before = client.me()
  await vi.waitFor(() => expect(network.asked).toHaveLength(2))
  const rotating = client.rotate()
  const after = client.devices()
  await sleep(5)
  expect(network.asked).toHaveLength(2)
  late.call.resolve(signedIn('1'))
  await before
  await vi.waitFor(() => expect(network.asked).toHaveLength(3))
  await sleep(5)
  expect(network.asked.at(-1)).toMatchObject({ path: '/v1/session/rotate', token: 'token-1' })
  late.rotation.resolve(rotated('2'))
  await Promise.all([rotating, after])
  expect(network.asked.slice(3)).toMatchObject([{ path: '/v1/sessions', token: 'token-2' }])
})

test('A failing call does not stop the rotation', async () => {
  const { client, network } = await signedInClient()
  const late = held<Response>()
  network.answer = (asked) => (asked.path === '/v1/session' ? late.promise : rotatingServer(asked))
  const failing = client.me()
  await vi.waitFor(() => expect(network.asked).toHaveLength(2))
  const rotating = client.rotate()
  late.reject(new TypeError('fetch failed'))
  await expect(failing).rejects.toMatchObject({ code: 'network' })
  expect(await rotating).toMatchObject({ id: 'session-1' })
})

test('Another client on the storage waits for the rotation, and never sends the old token after it', async () => {
  const { client, network, storage } = await signedInClient()
  const other = createClient({ baseUrl, transport: network.transport, storage })
  const late = held<Response>()
  network.answer = () => signedIn('1')
  await other.me()
  network.answer = (asked) => (asked.path === '/v1/session/rotate' ? late.promise : rotatingServer(asked))
  const rotating = client.rotate()
  const asking = other.me()
  await vi.waitFor(() => expect(network.asked).toHaveLength(3))
  await sleep(5)
  late.resolve(rotated('2'))
  await Promise.all([rotating, asking])
  expect(network.asked.map(({ token }) => token)).toEqual([null, 'token-1', 'token-1', 'token-2'])
})

test('A waiting call of the previous session is not sent with the token of a new sign-in', async () => {
  const { client, network } = await signedInClient()
  const late = held<Response>()
  network.answer = ({ path }) => {
    if (path === '/v1/session/rotate') return late.promise
    return path.endsWith('/end') ? done() : issued('3')
  }
  const rotating = client.rotate()
  const waiting = client.updateAccount({ nickname: '小红' })
  await client.signIn(input)
  late.resolve(rotated('2'))
  await rotating
  await expect(waiting).rejects.toMatchObject({ code: 'token_missing' })
  expect(network.asked.map(({ path }) => path)).not.toContain('/v1/account/update')
})

test('A call that another program’s rotation has overtaken is repeated with the new token', async () => {
  const { client, network, storage, told } = await signedInClient()
  // The same values, but not the same object, as in another tab.
  const other = createClient({ baseUrl, transport: network.transport, storage: { ...storage } })
  const late = held<Response>()
  network.answer = ({ token }) => (token === 'token-1' ? late.promise : signedIn('1'))
  const asking = client.me()
  await vi.waitFor(() => expect(network.asked).toHaveLength(2))
  network.answer = rotatingServer
  await other.rotate()
  late.resolve(problem(401, 'token_unknown'))
  expect(await asking).toMatchObject({ session: { id: 'session-1' } })
  expect(told).not.toHaveBeenCalled()
})

test('A call that is refused during another program’s rotation waits for the new token', async () => {
  const { client, network, storage, told } = await signedInClient()
  const other = createClient({ baseUrl, transport: network.transport, storage: { ...storage } })
  const late = held<Response>()
  network.answer = ({ token }) => (token === 'token-1' ? late.promise : signedIn('1'))
  const asking = client.me()
  await vi.waitFor(() => expect(network.asked).toHaveLength(2))
  network.answer = offline
  await other.rotate().catch(() => {})
  network.answer = rotatingServer
  late.resolve(problem(401, 'token_unknown'))
  expect(await asking).toMatchObject({ session: { id: 'session-1' } })
  expect(told).not.toHaveBeenCalled()
})

test('A tab continues with the token that another tab got by a rotation', async () => {
  const { client, network, storage, told } = await signedInClient()
  const other = createClient({ baseUrl, transport: network.transport, storage: { ...storage } })
  network.answer = rotatingServer
  await other.rotate()
  await client.me()
  expect(network.asked.slice(1).map(({ token }) => token)).toEqual(['token-1', 'token-2'])
  expect(told).not.toHaveBeenCalled()
})

test('A rotation that is refused with a reason signs out', async () => {
  const { client, network } = await signedInClient()
  network.answer = () => problem(401, 'session_replaced')
  await expect(client.rotate()).rejects.toMatchObject({ code: 'session_replaced' })
  expect(client.state).toMatchObject({ is: 'signed_out', reason: 'replaced' })
})

test('A server that refuses to rotate does not stop the client', async () => {
  const { client, network, storage } = await signedInClient()
  network.answer = ({ path }) => (path === '/v1/session/rotate' ? problem(404, 'not_found') : signedIn('1'))
  await expect(client.rotate()).rejects.toMatchObject({ code: 'not_found' })
  await client.me()
  expect(network.asked.at(-1)).toMatchObject({ token: 'token-1' })
  expect(await storage.get('hufu')).toContain('"rotating":false')
})

test('A rotation whose token cannot be stored fails, and is repeated', async () => {
  const inner = memoryStorage()
  let isBroken = false
  const storage: HufuStorage = {
    ...inner,
    set: (key, value) => {
      if (isBroken && value.includes('token-2')) throw new Error('full')
      return inner.set(key, value)
    },
  }
  const { client, network } = await signedInClient(storage)
  network.answer = rotatingServer
  isBroken = true
  await expect(client.rotate()).rejects.toThrow('full')
  isBroken = false
  await client.me()
  expect(inner.get('hufu')).toContain('"token":"token-2"')
})

test('A sign-out during a rotation leaves no live token', async () => {
  const { client, network, storage } = await signedInClient()
  const late = held<Response>()
  network.answer = ({ path }) => (path === '/v1/session/rotate' ? late.promise : offline())
  const rotating = client.rotate()
  await vi.waitFor(() => expect(network.asked).toHaveLength(2))
  await client.signOut()
  network.answer = done
  late.resolve(rotated('2'))
  await rotating
  expect(client.state.is).toBe('signed_out')
  await vi.waitFor(async () => expect(await storage.get('hufu')).toBeNull())
  expect(network.asked.at(-1)).toMatchObject({ path: '/v1/session/end', token: 'token-2' })
})
