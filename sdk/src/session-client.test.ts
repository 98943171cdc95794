// The client without failures: its state, and the calls of its listeners.
import { expect, test, vi } from 'vitest'
import { createClient, type HufuClient, memoryStorage } from './client.ts'
import {
  baseUrl,
  done,
  fakeNetwork,
  held,
  issued,
  json,
  problem,
  replaced,
  signedIn,
  wireSession,
} from './fake-network.ts'
import type { HufuStorage } from './storage.ts'

const input = { phoneNumber: '12345678901', password: '123456' }

/** A client that has signed in with `token-1`, with its network and storage. */
async function signedInClient(storage = memoryStorage()) {
  const network = fakeNetwork(() => issued('1'))
  const client = createClient({ baseUrl, transport: network.transport, storage })
  await client.signIn(input)
  return { client, network, storage }
}

test('A sign-in sends its input and returns the account and the session', async () => {
  const network = fakeNetwork(() => issued('1'))
  const client = createClient({ baseUrl, transport: network.transport })

  const device = { platform: 'ios', id: 'd-1', name: 'iPhone 15', appVersion: '2.1.0' } as const
  const { account, session } = await client.signIn({ ...input, device })

  expect(account).toEqual({
    id: 'account-1',
    phoneNumber: '+8612345678901',
    nickname: '小明',
    avatarUrl: null,
    locale: null,
    hasPassword: null,
    registeredAt: null,
  })
  expect(session).toEqual({
    id: 'session-1',
    platform: 'ios',
    device: { id: 'd-1', name: 'iPhone 15', appVersion: '2.1.0' },
    ip: '192.0.2.1',
    createdAt: '2026-11-22T00:00:00.000Z',
    seenAt: '2026-11-22T00:00:00.000Z',
    expiresAt: '2026-12-22T00:00:00.000Z',
    current: true,
  })
  expect(network.asked).toMatchObject([{ method: 'POST', path: '/v1/sessions', token: null }])
  expect(JSON.parse(network.asked[0]?.init.body ?? '')).toEqual({
    phone_number: '12345678901',
    password: '123456',
    device: { platform: 'ios', id: 'd-1', name: 'iPhone 15', app_version: '2.1.0' },
  })
})

test('The state is unknown until the storage was read, then it has the signed-in session', async () => {
  const { storage } = await signedInClient()
  const client = createClient({ baseUrl, transport: fakeNetwork().transport, storage })

  expect(client.state).toEqual({ is: 'unknown' })
  const state = await client.start()
  expect(state).toMatchObject({
    is: 'signed_in',
    account: { nickname: '小明' },
    session: { id: 'session-1' },
  })
  expect(client.state).toBe(state)
})

test('An empty storage means signed out, without a reason', async () => {
  const client = createClient({ baseUrl, transport: fakeNetwork().transport })
  expect(await client.start()).toMatchObject({ is: 'signed_out', reason: null })
})

test('The storage is read once for the state, however often start() is called', async () => {
  const storage = memoryStorage()
  const get = vi.fn(storage.get)
  const client = createClient({ baseUrl, transport: fakeNetwork().transport, storage: { ...storage, get } })
  await Promise.all([client.start(), client.start(), client.me().catch(() => {})])
  await client.start()
  expect(get.mock.calls).toEqual([['hufu'], ['hufu.account']])
})

test('Reading the storage is no sign-in: no listener is called', async () => {
  const { storage } = await signedInClient()
  const client = createClient({ baseUrl, transport: fakeNetwork().transport, storage })
  const listener = vi.fn()
  client.onSignedIn(listener)
  client.onSignedOut(listener)
  await client.start()
  expect(listener).not.toHaveBeenCalled()
})

test('The state is the same object until something changes', async () => {
  const { client, network } = await signedInClient()
  const before = client.state
  network.answer = () => signedIn('1')
  await client.me()
  expect(client.state).toBe(before)
  network.answer = () => signedIn('1', '大明')
  await client.me()
  expect(client.state).not.toBe(before)
})

test('The account in a response is stored for the next start', async () => {
  const { client, network, storage } = await signedInClient()
  network.answer = () => signedIn('1', '大明')
  expect((await client.me()).account.nickname).toBe('大明')

  const next = createClient({ baseUrl, transport: fakeNetwork().transport, storage })
  expect(await next.start()).toMatchObject({ is: 'signed_in', account: { nickname: '大明' } })
})

test('devices() returns the sessions that the server lists for the token', async () => {
  const { client, network } = await signedInClient()
  network.answer = () => json(200, { sessions: [wireSession('session-1'), wireSession('session-2')] })
  expect((await client.devices()).map(({ id }) => id)).toEqual(['session-1', 'session-2'])
  expect(network.asked.at(-1)).toMatchObject({ method: 'GET', path: '/v1/sessions', token: 'token-1' })
})

test('endDevice ends another device by the id of its session', async () => {
  const { client, network } = await signedInClient()
  network.answer = done
  await client.endDevice('a/b')
  expect(network.asked.at(-1)).toMatchObject({
    method: 'POST',
    path: '/v1/sessions/a%2Fb/end',
    token: 'token-1',
  })
  expect(client.state.is).toBe('signed_in')
})

test('endDevice with the own session is a sign-out', async () => {
  const { client, network } = await signedInClient()
  network.answer = done
  await client.endDevice('session-1')
  expect(client.state).toMatchObject({ is: 'signed_out', reason: null })
  expect(network.asked.at(-1)).toMatchObject({ method: 'POST', path: '/v1/session/end', token: 'token-1' })
})

test('Without a session, calls fail with token_missing and nothing is sent', async () => {
  const network = fakeNetwork()
  const client = createClient({ baseUrl, transport: network.transport, language: 'zh-CN' })
  const missing = { code: 'token_missing', status: null, message: '请先登录' }
  await expect(client.me()).rejects.toMatchObject(missing)
  await expect(client.devices()).rejects.toMatchObject(missing)
  await expect(client.endDevice('session-2')).rejects.toMatchObject(missing)
  expect(network.asked).toEqual([])
})

test('A refused sign-in changes nothing', async () => {
  const { client, network } = await signedInClient()
  network.answer = () => problem(401, 'credentials_wrong')
  await expect(client.signIn(input)).rejects.toMatchObject({ code: 'credentials_wrong', status: 401 })
  expect(client.state).toMatchObject({ is: 'signed_in', session: { id: 'session-1' } })
})

/** A storage that writes the token when the test says so. */
function slowStorage() {
  const inner = memoryStorage()
  const writes: { proceed: () => void }[] = []
  const written = async (key: string) => {
    if (key !== 'hufu') return
    const { promise, resolve } = held<void>()
    writes.push({ proceed: resolve })
    await promise
  }
  const storage: HufuStorage = {
    get: inner.get,
    set: async (key, value) => {
      await written(key)
      await inner.set(key, value)
    },
    remove: async (key) => {
      await written(key)
      await inner.remove(key)
    },
  }
  return { storage, inner, writes }
}

test('A sign-in is stored before it resolves and before listeners are called', async () => {
  const { storage, inner, writes } = slowStorage()
  const client = createClient({ baseUrl, transport: fakeNetwork(() => issued('1')).transport, storage })
  const seen: string[] = []
  const look = (name: string) => seen.push(`${name}: ${inner.get('hufu') === null ? 'empty' : 'stored'}`)
  client.onSignedIn(() => void look('listener'))
  const signingIn = client.signIn(input).then(() => look('promise'))

  await vi.waitFor(() => expect(writes).toHaveLength(1))
  expect(seen).toEqual([])
  expect(client.state.is).toBe('signed_out')
  writes[0]?.proceed()
  await signingIn
  expect(seen).toEqual(['listener: stored', 'promise: stored'])
})

test('A sign-out is stored before listeners are called', async () => {
  const { storage, inner, writes } = slowStorage()
  await inner.set('hufu', (await (await signedInClient()).storage.get('hufu')) ?? '')
  const client = createClient({ baseUrl, transport: fakeNetwork().transport, storage })
  await client.start()
  const seen: unknown[] = []
  client.onSignedOut(() => void seen.push(inner.get('hufu')))
  const signingOut = client.signOut()

  await vi.waitFor(() => expect(writes).toHaveLength(1))
  expect(seen).toEqual([])
  writes[0]?.proceed()
  await signingOut
  expect(seen).toEqual(['{"v":1,"is":"signed_out","why":null,"toEnd":["token-1"]}'])
})

test('A refusal is stored before the call rejects', async () => {
  const { storage, inner, writes } = slowStorage()
  await inner.set('hufu', (await (await signedInClient()).storage.get('hufu')) ?? '')
  const client = createClient({ baseUrl, transport: fakeNetwork(replaced).transport, storage })
  const asking = client.me().catch(() => inner.get('hufu'))
  await vi.waitFor(() => expect(writes).toHaveLength(1))
  writes[0]?.proceed()
  expect(await asking).toContain('"reason":"replaced"')
})

test('Listeners see the new state, may be asynchronous and may call the client again', async () => {
  const network = fakeNetwork(({ path }) => (path.endsWith('/end') ? done() : issued('1')))
  const client = createClient({ baseUrl, transport: network.transport })
  const ends: Promise<unknown>[] = []
  const note = (call: () => Promise<unknown>) => async () => {
    const ending = call()
    ends.push(ending)
    await ending
  }
  let returns = 0
  client.onSignedIn(note(async () => client.state))
  client.onSignedIn(note(() => client.signOut()))
  client.onSignedOut(note(async () => returns++ === 0 && (await client.signIn(input))))
  await client.signIn(input)
  await vi.waitFor(() => expect(ends).toHaveLength(6))
  await Promise.all(ends)
  expect(client.state).toMatchObject({ is: 'signed_out', reason: null })
  expect(await ends[0]).toMatchObject({ is: 'signed_in' })
})

test('A listener that throws or rejects does not affect others, and is reported', async () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => {})
  const { client, network } = await signedInClient()
  const others = vi.fn()
  client.onSignedOut(() => {
    throw new Error('thrown')
  })
  client.onSignedOut(async () => {
    throw new Error('rejected')
  })
  client.onSignedOut(others)
  network.answer = done
  await client.signOut()
  expect(others).toHaveBeenCalledOnce()
  expect(error).toHaveBeenCalledTimes(2)
  error.mockRestore()
})

test('A subscription ends when its function is called', async () => {
  const { client, network } = await signedInClient()
  const listener = vi.fn()
  const unsubscribe = client.onSignedOut(listener)
  const other = vi.fn()
  client.onSignedOut(other)
  unsubscribe()
  unsubscribe()
  network.answer = done
  await client.signOut()
  expect(listener).not.toHaveBeenCalled()
  expect(other).toHaveBeenCalledOnce()
})

test('Sign-ins take effect in the order of the calls, even if the first response is late', async () => {
  const first = held<Response>()
  const network = fakeNetwork(({ path }) => (path.endsWith('/end') ? done() : first.promise))
  const client = createClient({ baseUrl, transport: network.transport })
  const signingIn = [client.signIn(input), client.signIn({ ...input, password: 'another' })]
  await vi.waitFor(() => expect(network.asked).toHaveLength(1))
  network.answer = ({ path }) => (path.endsWith('/end') ? done() : issued('2'))
  first.resolve(issued('1'))
  await Promise.all(signingIn)
  expect(client.state).toMatchObject({ session: { id: 'session-2' } })
  await vi.waitFor(() =>
    expect(network.asked.at(-1)).toMatchObject({ path: '/v1/session/end', token: 'token-1' }),
  )
})

test('A sign-out during a sign-in takes effect after it', async () => {
  const answer = held<Response>()
  const network = fakeNetwork(({ path }) => (path.endsWith('/end') ? done() : answer.promise))
  const client = createClient({ baseUrl, transport: network.transport })
  const signingIn = client.signIn(input)
  const signingOut = client.signOut()
  answer.resolve(issued('1'))
  await Promise.all([signingIn, signingOut])
  expect(client.state.is).toBe('signed_out')
  expect(network.asked.at(-1)).toMatchObject({ path: '/v1/session/end', token: 'token-1' })
})

test('Methods work without their client, as event handlers call them', async () => {
  const { client, network } = await signedInClient()
  network.answer = done
  const { signOut }: HufuClient = client
  await signOut()
  expect(client.state.is).toBe('signed_out')
})

test('The token is not visible on the client', async () => {
  const { inspect } = await import('node:util')
  const { client } = await signedInClient()
  expect(inspect(client, { depth: 9, showHidden: true }) + JSON.stringify(client)).not.toContain('token-1')
})
