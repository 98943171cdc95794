// Storages of real apps: key stores that were restored without their keys, wrappers that parse, and other
// tabs.
import { afterEach, expect, test, vi } from 'vitest'
import { createClient, type HufuClient, type HufuStorage, memoryStorage, webStorage } from './client.ts'
import {
  baseUrl,
  done,
  fakeNetwork,
  issued,
  json,
  offline,
  problem,
  signedIn,
  wireAccount,
} from './fake-network.ts'

const input = { phoneNumber: '12345678901', password: '123456' }
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const stateOf = ({ state }: HufuClient) => (state.is === 'signed_in' ? state.session.id : state.is)

afterEach(() => vi.unstubAllGlobals())

/** A new client, and the calls of its listeners. */
function newClient(storage: HufuStorage, network = fakeNetwork(() => issued('1'))) {
  const errors: unknown[] = []
  const client = createClient({
    baseUrl,
    transport: network.transport,
    storage,
    language: 'en',
    onBackgroundError: (error) => void errors.push(error),
  })
  const ends: unknown[] = []
  client.onSignedOut(({ reason }) => void ends.push(reason))
  return { client, network, errors, ends }
}

async function signedInClient(storage: HufuStorage) {
  const all = newClient(storage)
  await all.client.signIn(input)
  return all
}

/** A key store with entries that cannot be decrypted any more, as after a restore to another phone. */
function keyStore({ isAsync = true } = {}) {
  const inner = memoryStorage()
  const lost = new Set<string>()
  const error = new Error('Could not decrypt the value for SecureStore: AEADBadTagException')
  const get = (key: string) => {
    if (lost.has(key)) throw error
    return inner.get(key)
  }
  const set = (key: string, value: string) => {
    lost.delete(key)
    return inner.set(key, value)
  }
  const remove = (key: string) => {
    lost.delete(key)
    return inner.remove(key)
  }
  const storage: HufuStorage = isAsync
    ? {
        get: async (key) => get(key),
        set: async (key, value) => set(key, value),
        remove: async (key) => remove(key),
      }
    : { get, set, remove }
  return { storage, inner, lost, error }
}

test.each([
  true,
  false,
])('A session that can never be decrypted again is over with a reason, which is told once (async: %s)', async (isAsync) => {
  const { storage, inner, lost, error } = keyStore({ isAsync })
  await signedInClient(storage)
  lost.add('hufu').add('hufu.account')
  const restored = newClient(storage)
  const end = {
    is: 'signed_out',
    reason: 'storage_lost',
    byDevice: null,
    message: 'The sign-in saved on this device can no longer be read. Please sign in again',
  }
  expect(await restored.client.start()).toMatchObject(end)
  await restored.client.start()
  expect(restored.ends).toEqual(['storage_lost'])
  expect(restored.errors).toContain(error)
  expect(restored.network.asked).toEqual([])
  expect(inner.get('hufu.probe')).toBeNull()

  const next = newClient(storage)
  expect(await next.client.start()).toMatchObject(end)
  expect(next.ends).toEqual([])
  await next.client.signIn(input)
  expect(stateOf(next.client)).toBe('session-1')
})

test('Each method that is called first detects it, not only start()', async () => {
  for (const call of [
    (c: HufuClient) => c.me(),
    (c: HufuClient) => c.devices(),
    (c: HufuClient) => c.signOut(),
  ]) {
    const { storage, lost } = keyStore()
    await signedInClient(storage)
    lost.add('hufu')
    const { client } = newClient(storage)
    await call(client).catch(() => {})
    expect(client.state).toMatchObject({ is: 'signed_out', reason: 'storage_lost' })
  }
})

test('A lost entry of the known session is written again, and the session stays signed in', async () => {
  const { storage, inner, lost } = keyStore()
  const { client, network, ends } = await signedInClient(storage)
  lost.add('hufu')
  network.answer = () => signedIn('1', '大明')
  await client.me()
  expect(client.state).toMatchObject({ is: 'signed_in', account: { nickname: '大明' } })
  expect(inner.get('hufu')).toContain('token-1')
  expect(lost.size).toBe(0)
  expect(ends).toEqual([])
})

test.each([
  'User interaction is not allowed.',
  'The device is locked',
  'UserNotAuthenticatedException: User not authenticated',
  'code: 13, msg: Cancel',
  'errSecInteractionNotAllowed (-25308)',
])('A key store that says "%s" has lost nothing: the next start reads it', async (message) => {
  const inner = memoryStorage()
  let isClosed = false
  const set = vi.fn(inner.set)
  const get = (key: string) => {
    // Only this entry, which was written with other options.
    if (isClosed && key === 'hufu') throw new Error(message)
    return inner.get(key)
  }
  const storage = { ...inner, get, set }
  await signedInClient(storage)
  isClosed = true
  const { client, ends } = newClient(storage)
  set.mockClear()
  await expect(client.start()).rejects.toThrow(message)
  expect(client.state).toEqual({ is: 'unknown' })
  expect(set).not.toHaveBeenCalled()
  isClosed = false
  expect(await client.start()).toMatchObject({ is: 'signed_in' })
  expect(ends).toEqual([])
})

test.each(['reading', 'writing'])('A storage of which all %s fails has lost nothing', async (what) => {
  const inner = memoryStorage()
  let isBroken = false
  const fail = () => {
    throw new Error('disk I/O error')
  }
  const storage: HufuStorage = {
    get: (key) => (isBroken && (what === 'reading' || key === 'hufu') ? fail() : inner.get(key)),
    set: (key, value) => (isBroken && what === 'writing' ? fail() : inner.set(key, value)),
    remove: inner.remove,
  }
  await signedInClient(storage)
  isBroken = true
  const { client } = newClient(storage)
  await expect(client.start()).rejects.toThrow('disk I/O error')
  isBroken = false
  expect(await client.start()).toMatchObject({ is: 'signed_in' })
})

test('A read that fails once and then works loses nothing', async () => {
  const inner = memoryStorage()
  await signedInClient(inner)
  let failures = 1
  const storage: HufuStorage = {
    ...inner,
    get: async (key) => {
      if (key === 'hufu' && failures-- > 0) throw new Error('something passing')
      return await inner.get(key)
    },
  }
  expect(await newClient(storage).client.start()).toMatchObject({ is: 'signed_in' })
})

test.each([
  ['parses what it is given', JSON.parse, (value: string) => value],
  ['wraps what it is given', (text: string) => text, (value: string) => JSON.stringify(value)],
])('A storage that %s keeps the person signed in, and a sign-out empties it', async (_name, onGet, onSet) => {
  const values = new Map<string, string>()
  const storage: HufuStorage = {
    get: (key) => {
      const text = values.get(key)
      return text === undefined ? null : onGet(text)
    },
    set: (key, value) => void values.set(key, onSet(value)),
    remove: (key) => void values.delete(key),
  }
  const { client, network } = await signedInClient(storage)
  network.answer = () => json(200, wireAccount)
  await client.account()
  const next = newClient(storage)
  expect(await next.client.start()).toMatchObject({
    is: 'signed_in',
    session: { id: 'session-1' },
    account: { avatarUrl: 'https://img.example.com/1.png' },
  })
  const asynchronous = { ...storage, get: async (key: string) => await storage.get(key) }
  expect(await newClient(asynchronous).client.start()).toMatchObject({ is: 'signed_in' })
  network.answer = done
  await client.signOut()
  expect(values.size).toBe(0)
})

test('A stored text that cannot be parsed is reported', async () => {
  const storage = memoryStorage()
  await storage.set('hufu', '{"user":"another program uses this key"}')
  const { client, errors } = newClient(storage)
  expect(await client.start()).toMatchObject({ is: 'signed_out', reason: null })
  expect(errors).toMatchObject([{ message: expect.stringContaining('not understood') }])
  expect(String(errors)).not.toContain('another program')
})

/** Two tabs of a browser on one localStorage. A tab gets no events of its own changes. */
function browser() {
  const values = new Map<string, string>()
  const listeners: { tab: object; listen: (event: object) => void }[] = []
  function openTab() {
    const tab = {}
    const storage = {
      getItem: (key: string) => values.get(key) ?? null,
      setItem: (key: string, value: string) => change(key, () => values.set(key, value)),
      removeItem: (key: string) => change(key, () => values.delete(key)),
    }
    const change = (key: string | null, write: () => void) => {
      write()
      for (const { tab: other, listen } of listeners) {
        // In a later macrotask, after the storage has changed.
        if (other !== tab) setTimeout(() => listen({ storageArea: areas.get(other), key }))
      }
    }
    areas.set(tab, storage)
    vi.stubGlobal('addEventListener', (type: string, listen: (event: object) => void) => {
      expect(type).toBe('storage')
      listeners.push({ tab, listen })
    })
    const adapter = webStorage(storage)
    return { storage: adapter, clear: () => change(null, () => values.clear()) }
  }
  const areas = new Map<object, object>()
  return { openTab, values }
}

test('A tab notices that another one has signed in, and verifies the session', async () => {
  const { openTab } = browser()
  const first = newClient(
    openTab().storage,
    fakeNetwork(() => signedIn('1')),
  )
  const second = newClient(openTab().storage)
  await first.client.start()
  const told = vi.fn()
  first.client.onSignedIn(told)
  await second.client.signIn(input)
  await vi.waitFor(() => expect(first.client.state).toMatchObject({ is: 'signed_in', verified: true }))
  expect(told).toHaveBeenCalledOnce()
  expect(first.network.asked).toMatchObject([{ path: '/v1/session', token: 'token-1' }])
})

test('A tab notices that another one has signed out, and sends no request', async () => {
  const { openTab } = browser()
  const { client: first, network } = await signedInClient(openTab().storage)
  const second = newClient(openTab().storage, fakeNetwork(offline))
  await second.client.start()
  await first.me().catch(() => {})
  const asked = second.network.asked.length
  network.answer = offline
  await first.signOut()
  await vi.waitFor(() => expect(second.ends).toEqual(['signed_out']))
  expect(second.client.state).toMatchObject({ is: 'signed_out', reason: null })
  expect(second.network.asked.slice(asked).filter(({ path }) => !path.endsWith('/end'))).toEqual([])
})

test('A tab that notices late that the other one has signed out gets the reason from the server', async () => {
  const { openTab, values } = browser()
  const { network, ends } = await signedInClient(openTab().storage)
  network.answer = () => problem(401, 'session_signed_out')
  const other = openTab()
  other.clear()
  await vi.waitFor(() => expect(ends).toEqual(['signed_out']))
  expect(values.size).toBeLessThan(2)
})

test('A page that empties its localStorage does not sign out while the session is live', async () => {
  const { openTab } = browser()
  const { client, network, ends } = await signedInClient(openTab().storage)
  network.answer = () => signedIn('1')
  openTab().clear()
  await vi.waitFor(() => expect(network.asked.at(-1)).toMatchObject({ path: '/v1/session' }))
  await sleep(20)
  expect(stateOf(client)).toBe('session-1')
  expect(ends).toEqual([])
})

test('Tabs that notice each other stop sending requests', async () => {
  const { openTab } = browser()
  const first = await signedInClient(openTab().storage)
  const second = newClient(
    openTab().storage,
    fakeNetwork(() => signedIn('1', '大明')),
  )
  await second.client.start()
  await vi.waitFor(() => expect(first.client.state).toMatchObject({ account: { nickname: '大明' } }))
  await sleep(50)
  const asked = [first, second].map(({ network }) => network.asked.length)
  expect(asked).toEqual([1, 1])
  await sleep(50)
  expect([first, second].map(({ network }) => network.asked.length)).toEqual(asked)
})

test('The page’s own values in localStorage do not affect the client', async () => {
  const { openTab } = browser()
  const { network } = await signedInClient(openTab().storage)
  const other = openTab().storage
  await other.set('theme', 'dark')
  await other.set('hufunny', 'x')
  await sleep(20)
  expect(network.asked).toHaveLength(1)
})
