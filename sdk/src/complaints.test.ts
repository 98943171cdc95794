// Complaints about other SDKs, by theme: each test shows that one does not apply here. Complaints that do not
// concern a client are left out: the cost of SMS and custom SMS gateways (both belong to the server), and
// sockets (there are none yet).
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  createClient,
  type HufuClient,
  type HufuStorage,
  memoryStorage,
  requestTransport,
  secureStorage,
} from './client.ts'
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
  replaced,
  signedIn,
  wireSession,
} from './fake-network.ts'
import { fakeUni, resultOf } from './fake-uni.ts'

const input = { phoneNumber: '12345678901', password: '123456' }

async function signedInClient(storage: HufuStorage = memoryStorage()) {
  const network = fakeNetwork(() => issued('1'))
  const client = createClient({ baseUrl, transport: network.transport, storage })
  await client.signIn(input)
  return { client, network, storage }
}

/** The same app after a restart. */
function started(storage: HufuStorage, answer: Answering) {
  const network = fakeNetwork(answer)
  const client = createClient({ baseUrl, transport: network.transport, storage })
  const seen: string[] = []
  client.subscribe((state) => void seen.push(shortOf(state)))
  return { client, network, seen }
}

const shortOf = (state: HufuClient['state']) =>
  state.is === 'signed_in' ? `signed_in ${state.verified ? 'verified' : 'cached'}` : state.is

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

// supabase/supabase#17016, supabase-js#254, auth-js#563 and #620. More in rotation.test.ts.
describe('Random logouts by racing', () => {
  test('Twenty concurrent checks are one request with one result', async () => {
    const { client, network } = await signedInClient()
    network.answer = () => signedIn('1')
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.me()))
    expect(network.asked).toHaveLength(2)
    expect(new Set(answers).size).toBe(1)
  })

  test('A check of the previous session does not apply to the new session', async () => {
    const { client, network } = await signedInClient()
    const late = held<Response>()
    network.answer = () => late.promise
    const old = client.me()
    await vi.waitFor(() => expect(network.asked).toHaveLength(2))
    network.answer = ({ path }) => (path.endsWith('/end') ? done() : issued('2'))
    await client.signIn(input)
    network.answer = () => signedIn('2')
    expect(await client.me()).toMatchObject({ session: { id: 'session-2' } })
    late.resolve(replaced())
    await expect(old).rejects.toMatchObject({ code: 'session_replaced' })
    expect(client.state).toMatchObject({ is: 'signed_in', session: { id: 'session-2' } })
  })

  test('A failed check is not cached: the next one sends a request', async () => {
    const { client, network } = await signedInClient()
    network.answer = offline
    await client.me().catch(() => {})
    network.answer = () => signedIn('1')
    await expect(client.me()).resolves.toMatchObject({ session: { id: 'session-1' } })
  })
})

// supabase/auth-js#141, supabase-flutter#716, better-auth#8420, supabase-js#2501. More in refusals and
// forgotten.test.ts.
describe('Offline = logged out', () => {
  test('A cold start without a network is signed in from the storage; with a network the session is verified', async () => {
    const { storage } = await signedInClient()
    const { client, network, seen } = started(storage, offline)
    expect(await client.start()).toMatchObject({ account: { nickname: '小明' }, verified: false })
    await client.me().catch(() => {})
    await new Promise(setImmediate)
    expect(seen).toEqual(['signed_in cached'])
    expect(network.asked).toHaveLength(1)

    network.answer = () => signedIn('1')
    await client.start()
    await vi.waitFor(() => expect(seen).toEqual(['signed_in cached', 'signed_in verified']))
  })

  test('Losing the network later changes nothing', async () => {
    const { client, network } = await signedInClient()
    expect(shortOf(client.state)).toBe('signed_in verified')
    network.answer = offline
    await client.me().catch(() => {})
    await client.start()
    expect(shortOf(client.state)).toBe('signed_in verified')
  })

  test('Any successful response to the token verifies the session', async () => {
    const { storage } = await signedInClient()
    const { client } = started(storage, () => json(200, { sessions: [] }))
    await client.devices()
    expect(shortOf(client.state)).toBe('signed_in verified')
  })
})

// supabase/auth-js#762, supabase-js#2013, #2344, #1594, #1401.
describe('Deadlocks in the event callback', () => {
  test('A listener may await every kind of call', async () => {
    const { client, network } = await signedInClient()
    network.answer = ({ method, path }) => {
      if (path.endsWith('/end')) return done()
      return path === '/v1/sessions' && method === 'POST' ? issued('2') : signedIn('2')
    }
    const finished: string[] = []
    client.onSignedOut(async () => {
      await client.start()
      await client.signOut()
      await client.signIn(input)
      finished.push('signed out')
    })
    client.onSignedIn(async () => {
      await client.start()
      await client.me()
      finished.push('signed in')
    })
    client.subscribe(async () => {
      await client.start()
      finished.push('state')
    })
    await client.signOut()
    await vi.waitFor(() => expect(new Set(finished)).toEqual(new Set(['state', 'signed out', 'signed in'])))
    expect(client.state).toMatchObject({ is: 'signed_in', session: { id: 'session-2' } })
  })

  test('A listener that never resolves blocks nothing', async () => {
    const { client, network } = await signedInClient()
    client.onSignedOut(() => held<void>().promise)
    client.subscribe(() => held<void>().promise)
    network.answer = ({ path }) => (path.endsWith('/end') ? done() : issued('2'))
    await client.signOut()
    await client.signIn(input)
    expect(client.state).toMatchObject({ session: { id: 'session-2' } })
  })

  test('Listeners are called in the order of the changes, after the state has changed', async () => {
    const { client, network } = await signedInClient()
    const seen: string[] = []
    client.subscribe((state) => void seen.push(shortOf(state)))
    client.onSignedIn(() => void seen.push(`in, ${client.state.is}`))
    client.onSignedOut(() => void seen.push(`out, ${client.state.is}`))
    network.answer = ({ path }) => (path.endsWith('/end') ? done() : issued('2'))
    await Promise.all([client.signOut(), client.signIn(input), client.signOut()])
    const out = ['signed_out', 'out, signed_out']
    expect(seen).toEqual([...out, 'signed_in verified', 'in, signed_in', ...out])
  })
})

// better-auth#8952, #1443, #5600.
describe('Cold start flash', () => {
  test('The state is not signed_out while the storage is being read or a request is under way', async () => {
    const { storage: inner } = await signedInClient()
    const reading = held<void>()
    const get = async (key: string) => {
      await reading.promise
      return await inner.get(key)
    }
    const { client, seen } = started({ ...inner, get }, () => held<Response>().promise)
    const starting = client.start()
    expect(shortOf(client.state)).toBe('unknown')
    reading.resolve()
    expect(shortOf(await starting)).toBe('signed_in cached')
    expect(seen).toEqual(['signed_in cached'])
  })

  test('The first screen does not wait for the network', async () => {
    const { storage } = await signedInClient()
    const { client } = started(storage, () => held<Response>().promise)
    expect(await client.start()).toMatchObject({ is: 'signed_in', account: { nickname: '小明' } })
  })
})

// supabase-js#1203, supabase-flutter PR #1019.
describe('Background and foreground', () => {
  test('No timer runs while the app is in the background', async () => {
    vi.useFakeTimers()
    const { client, network } = await signedInClient()
    network.answer = () => signedIn('1')
    await client.start()
    await client.me()
    expect(vi.getTimerCount()).toBe(0)
  })

  test('Two calls of start() on coming to the foreground send one request', async () => {
    const { client, network } = await signedInClient()
    const late = held<Response>()
    network.answer = () => late.promise
    await Promise.all([client.start(), client.start()])
    late.resolve(signedIn('1'))
    await client.me()
    expect(network.asked).toHaveLength(2)
  })

  test('A check whose connection died in the background is repeated when the app comes back', async () => {
    const { storage } = await signedInClient()
    const sleeping = held<Response>()
    const { client, network } = started(storage, () => sleeping.promise)
    await client.start()
    await vi.waitFor(() => expect(network.asked).toHaveLength(1))
    await client.start()
    network.answer = () => signedIn('1')
    sleeping.reject(new TypeError('the connection was lost'))
    await vi.waitFor(() => expect(shortOf(client.state)).toBe('signed_in verified'))
    expect(network.asked).toHaveLength(2)
  })

  test('A session that ended in the background is reported with its reason when the app comes back', async () => {
    const { client, network } = await signedInClient()
    const ends = vi.fn()
    client.onSignedOut(ends)
    network.answer = replaced
    expect(await client.start()).toMatchObject({ is: 'signed_in' })
    await vi.waitFor(() => expect(ends).toHaveBeenCalledOnce())
    expect(client.state).toMatchObject({ is: 'signed_out', reason: 'replaced' })
  })
})

// better-auth#7674, #6810.
describe('Cookies on native', () => {
  test('No cookie is sent, and a received cookie is ignored', async () => {
    const { client, network, storage } = await signedInClient()
    network.answer = () =>
      json(200, { sessions: [wireSession('session-1')] }, { 'set-cookie': 'a=b; Path=/' })
    await client.devices()
    await client.devices()
    for (const { init } of network.asked) {
      expect(init.credentials).toBe('omit')
      expect(Object.keys(init.headers)).not.toContain('cookie')
    }
    expect(await storage.get('hufu')).not.toContain('a=b')
  })
})

/** Behaves like expo-secure-store: strict about keys, and unreliable with large values. */
function fakeSecureStore() {
  const values = new Map<string, string>()
  const calls: unknown[][] = []
  const use = async (key: string, ...rest: unknown[]) => {
    calls.push([key, ...rest])
    if (!/^[\w.-]+$/.test(key)) throw new Error(`invalid key ${key}`)
  }
  return {
    values,
    calls,
    getItemAsync: async (key: string, options?: object) => {
      await use(key, options)
      return values.get(key) ?? null
    },
    setItemAsync: async (key: string, value: string, options?: object) => {
      await use(key, options)
      if (value.length > 2048) throw new Error('too big')
      values.set(key, value)
    },
    deleteItemAsync: async (key: string, options?: object) => {
      await use(key, options)
      values.delete(key)
    },
  }
}

// supertokens-react-native#115, #96, #28; supabase/supabase#29657.
describe('Insecure or fixed storage', () => {
  test('A secure store keeps the session, with the options of the app', async () => {
    const store = fakeSecureStore()
    const options = { keychainAccessible: 1 }
    const { client, network } = await signedInClient(secureStorage(store, options))
    const { client: next } = started(secureStorage(store, options), offline)
    expect(await next.start()).toMatchObject({ is: 'signed_in', session: { id: 'session-1' } })
    network.answer = done
    await client.signOut()
    expect(store.values.size).toBe(0)
    expect(store.calls.every((call) => call.at(-1) === options)).toBe(true)
  })

  test('A key store that is locked before the first unlock is reported and does not sign out', async () => {
    const store = fakeSecureStore()
    await signedInClient(secureStorage(store))
    const locked = new Error('locked')
    const getItemAsync = vi.fn(async () => Promise.reject(locked))
    const storage = secureStorage({ ...store, getItemAsync: (key) => reading(key) })
    let reading: (key: string) => Promise<string | null> = getItemAsync
    const client = createClient({
      baseUrl,
      transport: fakeNetwork().transport,
      storage,
      onBackgroundError: () => {},
    })
    await expect(client.start()).rejects.toBe(locked)
    expect(client.state).toEqual({ is: 'unknown' })
    reading = store.getItemAsync
    expect(await client.start()).toMatchObject({ is: 'signed_in' })
  })

  test('Nothing is stored outside the given storage', async () => {
    const localStorage = { getItem: vi.fn(), setItem: vi.fn(), removeItem: vi.fn() }
    vi.stubGlobal('localStorage', localStorage)
    const { client } = await signedInClient()
    await client.start()
    for (const method of Object.values(localStorage)) expect(method).not.toHaveBeenCalled()
  })
})

const globals = () =>
  new Map(Object.getOwnPropertyNames(globalThis).map((name) => [name, Reflect.get(globalThis, name)]))

// supertokens-web-js#127, supertokens-react-native#130.
describe('Patching global fetch', () => {
  test('No global is changed, and with a transport of its own the client never uses the platform’s fetch', async () => {
    const fetch = vi.fn()
    vi.stubGlobal('fetch', fetch)
    const before = globals()
    const { client, network } = await signedInClient()
    network.answer = offline
    await client.start()
    await client.signOut()
    expect([...globals()].filter(([name, value]) => !Object.is(before.get(name), value))).toEqual([])
    expect(globals().size).toBe(before.size)
    expect(fetch).not.toHaveBeenCalled()
  })
})

// supabase-js#1543.
describe('Can’t sign out when the server already did', () => {
  test.each([
    'token_unknown',
    'session_expired',
    'session_kicked',
  ])('A sign-out that the server answers with %s is a sign-out', async (code) => {
    const { client, network, storage } = await signedInClient()
    network.answer = () => problem(401, code)
    await client.signOut()
    expect(client.state).toMatchObject({ is: 'signed_out', reason: null })
    expect(await storage.get('hufu')).toBeNull()
    await client.signOut()
    expect(network.asked).toHaveLength(2)
  })

  test('Removing the own device, or all devices, signs out even if the session has already ended', async () => {
    for (const end of ['signOutEverywhere', 'endOtherDevices'] as const) {
      const { client, network } = await signedInClient()
      network.answer = () => problem(401, 'session_expired')
      await expect(client[end]()).rejects.toMatchObject({ code: 'session_expired' })
      expect(client.state).toMatchObject({ is: 'signed_out', reason: 'expired' })
    }
  })
})

// FusionAuth#1363, #2421; pocketbase#2536.
describe('One device per user', () => {
  test('The replaced phone gets the time and the device of its end; the new one is not affected', async () => {
    const { client: old, network } = await signedInClient()
    network.answer = replaced
    await old.me().catch(() => {})
    expect(old.state).toMatchObject({
      reason: 'replaced',
      at: '2026-11-22T01:02:03.000Z',
      byDevice: { platform: 'android', name: '华为 Mate 60' },
      message: 'Title of session_replaced',
    })
  })

  test('If the server keeps the previous phone, the new one gets that error, and stays signed out', async () => {
    const network = fakeNetwork(() => problem(409, 'session_limit_reached'))
    const client = createClient({ baseUrl, transport: network.transport })
    await expect(client.signIn(input)).rejects.toMatchObject({ code: 'session_limit_reached', status: 409 })
    expect(client.state).toMatchObject({ is: 'signed_out', reason: null })
  })
})

// supertokens-web-js#73.
describe('uni-app and mini-programs', () => {
  test('The client works without fetch, AbortController, URL, TextEncoder and window', async () => {
    const [first, second] = [await resultOf(issued('1')), await resultOf(signedIn('1'))]
    const uni = fakeUni(({ url }) => {
      if (url.endsWith('/end')) return { statusCode: 204, data: '' }
      return url.endsWith('/v1/sessions') ? first : second
    })
    for (const name of [
      'fetch',
      'AbortController',
      'Headers',
      'Response',
      'URL',
      'TextEncoder',
      'localStorage',
    ]) {
      vi.stubGlobal(name, undefined)
    }
    const values = new Map<string, string>()
    const storage: HufuStorage = {
      // uni.getStorageSync returns this for a missing key.
      get: (key) => values.get(key) ?? '',
      set: (key, value) => void values.set(key, value),
      remove: (key) => void values.delete(key),
    }
    const client = createClient({ baseUrl, transport: requestTransport(uni.request), storage })
    expect(await client.start()).toMatchObject({ is: 'signed_out', reason: null })
    await client.signIn(input)
    await client.me()
    const next = createClient({ baseUrl, transport: requestTransport(uni.request), storage })
    expect(await next.start()).toMatchObject({ is: 'signed_in', session: { id: 'session-1' } })
    await next.signOut()
    expect(values.size).toBe(0)
    expect(uni.asked.at(-1)).toMatchObject({
      url: `${baseUrl}/v1/session/end`,
      header: { authorization: 'Bearer token-1' },
    })
  })
})
