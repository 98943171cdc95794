// A new token for the session: lost answers, calls that come in between, other clients, and a storage that fails.
import { expect, test, vi } from 'vitest'
import { createClient, type HufuStorage, memoryStorage } from './client.ts'
import {
  type Answering,
  baseUrl,
  done,
  fakeNetwork,
  held,
  issued,
  offline,
  problem,
  rotated,
  signedIn,
} from './fake-network.ts'

const input = { phoneNumber: '12345678901', password: '123456' }

async function signedInClient(storage: HufuStorage = memoryStorage()) {
  const network = fakeNetwork(() => issued('1'))
  const client = createClient({ baseUrl, transport: network.transport, storage, onTrouble: () => {} })
  await client.signIn(input)
  const told = vi.fn()
  client.onSignedIn(told)
  client.onSignedOut(told)
  return { client, network, storage, told }
}

/** A server that gives `token-2` for `token-1`, as often as it is asked, and then takes no other one. */
const rotatingServer: Answering = ({ path, token, method }) => {
  if (method === 'DELETE') return done()
  if (path === '/v1/session/rotate') return rotated('2')
  return token === 'token-2' ? signedIn('1') : problem(401, 'token_unknown')
}

test('The new token is in the storage before the promise resolves, and is used from then on', async () => {
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

test('The old token is not ended: the session goes on', async () => {
  const { client, network } = await signedInClient()
  network.answer = rotatingServer
  await client.rotate()
  await client.me()
  expect(network.asked.map(({ method }) => method)).not.toContain('DELETE')
})

test('Rotations at the same time are one', async () => {
  const { client, network } = await signedInClient()
  network.answer = rotatingServer
  await Promise.all([client.rotate(), client.rotate(), client.rotate()])
  expect(network.asked.filter(({ path }) => path === '/v1/session/rotate')).toHaveLength(1)
})

test('Where the answer is lost, the next start asks again with the old token, before anything else', async () => {
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

test('Where the answer is lost, the next call asks again, though the server takes the old token no more', async () => {
  const { client, network, told } = await signedInClient()
  network.answer = offline
  await client.rotate().catch(() => {})
  network.answer = rotatingServer
  await client.me()
  expect(client.state.is).toBe('signed_in')
  expect(told).not.toHaveBeenCalled()
})

test('A call that the rotation has overtaken is asked again with the new token, and signs nobody out', async () => {
  const { client, network, told } = await signedInClient()
  const late = held<Response>()
  network.answer = ({ token }) => (token === 'token-1' ? late.promise : signedIn('1'))
  const asking = client.me()
  await vi.waitFor(() => expect(network.asked).toHaveLength(2))
  network.answer = rotatingServer
  await client.rotate()
  late.resolve(problem(401, 'token_unknown'))
  expect(await asking).toMatchObject({ session: { id: 'session-1' } })
  expect(told).not.toHaveBeenCalled()
})

test('A call that is refused while the rotation is under way waits for it', async () => {
  const { client, network, told } = await signedInClient()
  const late = { call: held<Response>(), rotation: held<Response>() }
  network.answer = ({ path, token }) => {
    if (path === '/v1/session/rotate') return late.rotation.promise
    return token === 'token-1' ? late.call.promise : signedIn('1')
  }
  const asking = client.me()
  await vi.waitFor(() => expect(network.asked).toHaveLength(2))
  const rotating = client.rotate()
  await vi.waitFor(() => expect(network.asked).toHaveLength(3))
  late.call.resolve(problem(401, 'token_unknown'))
  late.rotation.resolve(rotated('2'))
  await rotating
  expect(await asking).toMatchObject({ session: { id: 'session-1' } })
  expect(told).not.toHaveBeenCalled()
})

test('A tab whose token another tab has rotated goes on with the new one', async () => {
  const { client, network, storage, told } = await signedInClient()
  const other = createClient({ baseUrl, transport: network.transport, storage })
  await other.start()
  network.answer = rotatingServer
  await other.rotate()
  await client.me()
  expect(network.asked.at(-1)).toMatchObject({ token: 'token-2' })
  expect(told).not.toHaveBeenCalled()
})

test('A rotation that is refused with a reason signs out', async () => {
  const { client, network } = await signedInClient()
  network.answer = () => problem(401, 'session_replaced')
  await expect(client.rotate()).rejects.toMatchObject({ code: 'session_replaced' })
  expect(client.state).toMatchObject({ is: 'signed_out', reason: 'replaced' })
})

test('A server that will not rotate does not stop the client', async () => {
  const { client, network, storage } = await signedInClient()
  network.answer = ({ path }) => (path === '/v1/session/rotate' ? problem(404, 'not_found') : signedIn('1'))
  await expect(client.rotate()).rejects.toMatchObject({ code: 'not_found' })
  await client.me()
  expect(network.asked.at(-1)).toMatchObject({ token: 'token-1' })
  expect(await storage.get('hufu')).toContain('"rotating":false')
})

test('A new token that cannot be stored is no success, and is asked for again', async () => {
  const inner = memoryStorage()
  let isBroken = false
  const storage: HufuStorage = {
    ...inner,
    set: (key, value) => {
      if (isBroken && value.includes('token-2')) throw new Error('full')
      inner.set(key, value)
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

test('Who signs out during a rotation leaves no token behind', async () => {
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
  expect(network.asked.at(-1)).toMatchObject({ method: 'DELETE', token: 'token-2' })
})
