// The stored state where the storage fails, contains garbage, or is shared by several clients.
import { expect, test, vi } from 'vitest'
import { createClient, type HufuClient, type HufuStorage, memoryStorage, webStorage } from './client.ts'
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
  wireAccount,
  wireSession,
} from './fake-network.ts'

const input = { phoneNumber: '12345678901', password: '123456' }
const broken = new Error('the key store is locked')

/** A storage whose reads and writes can be broken and repaired. */
function fragileStorage() {
  const inner = memoryStorage()
  const broke = { reading: false, writing: false }
  const storage: HufuStorage = {
    async get(key) {
      if (broke.reading) throw broken
      return await inner.get(key)
    },
    async set(key, value) {
      if (broke.writing) throw broken
      await inner.set(key, value)
    },
    async remove(key) {
      if (broke.writing) throw broken
      await inner.remove(key)
    },
  }
  return { storage, broke, text: () => inner.get('hufu') }
}

async function signedInClient(storage: HufuStorage, name = '1') {
  const network = fakeNetwork(() => issued(name))
  const errors: unknown[] = []
  const onBackgroundError = (error: unknown) => void errors.push(error)
  const client = createClient({ baseUrl, transport: network.transport, storage, onBackgroundError })
  await client.signIn(input)
  await vi.waitFor(async () => expect(await storage.get('hufu')).toContain('"toEnd":[]'))
  return { client, network, errors }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const stateOf = ({ state }: HufuClient) => (state.is === 'signed_in' ? state.session.id : state.is)

test('A storage that cannot be read temporarily does not sign out; the next attempt reads it', async () => {
  const { storage, broke } = fragileStorage()
  await signedInClient(storage)
  const { transport } = fakeNetwork(() => signedIn('1'))
  const client = createClient({ baseUrl, transport, storage, onBackgroundError: () => {} })
  broke.reading = true
  await expect(client.start()).rejects.toBe(broken)
  await expect(client.me()).rejects.toBe(broken)
  await expect(client.signOut()).rejects.toBe(broken)
  expect(client.state).toEqual({ is: 'unknown' })
  broke.reading = false
  expect(await client.start()).toMatchObject({ is: 'signed_in' })
})

test('A storage that cannot be read does not prevent a sign-in', async () => {
  const { storage, broke, text } = fragileStorage()
  const { transport } = fakeNetwork(() => issued('1'))
  const onBackgroundError = vi.fn()
  const client = createClient({ baseUrl, transport, storage, onBackgroundError })
  const listener = vi.fn()
  client.onSignedIn(listener)
  broke.reading = true
  await client.signIn(input)
  expect(onBackgroundError).toHaveBeenCalledWith(broken)
  expect(stateOf(client)).toBe('session-1')
  expect(text()).toContain('token-1')
  expect(listener).toHaveBeenCalledOnce()
})

test('A sign-in that cannot be stored fails, changes nothing, and leaves no live session', async () => {
  const { storage, broke } = fragileStorage()
  const { client, network } = await signedInClient(storage)
  const listener = vi.fn()
  client.onSignedIn(listener)
  network.answer = ({ path }) => (path.endsWith('/end') ? done() : issued('2'))
  broke.writing = true
  await expect(client.signIn(input)).rejects.toBe(broken)
  expect(client.state).toMatchObject({ session: { id: 'session-1' }, verified: true })
  expect(listener).not.toHaveBeenCalled()
  await vi.waitFor(() =>
    expect(network.asked.at(-1)).toMatchObject({ path: '/v1/session/end', token: 'token-2' }),
  )
})

test('A sign-out that cannot be stored rejects, but takes effect here and on the server', async () => {
  const { storage, broke } = fragileStorage()
  const { client, network } = await signedInClient(storage)
  network.answer = done
  broke.writing = true
  await expect(client.signOut()).rejects.toBe(broken)
  expect(stateOf(client)).toBe('signed_out')
  expect(network.asked.at(-1)).toMatchObject({ method: 'POST', path: '/v1/session/end', token: 'token-1' })
})

test('A refusal signs out even if the storage fails; responses do not depend on the storage, and the failure is reported', async () => {
  const { storage, broke } = fragileStorage()
  const { client, network, errors } = await signedInClient(storage)
  broke.reading = true
  broke.writing = true
  network.answer = () => signedIn('1', '大明')
  expect((await client.me()).account.nickname).toBe('大明')
  expect(errors).toContain(broken)
  expect(stateOf(client)).toBe('session-1')
  network.answer = replaced
  await expect(client.me()).rejects.toMatchObject({ code: 'session_replaced' })
  expect(client.state).toMatchObject({ is: 'signed_out', reason: 'replaced' })
})

test.each([
  '',
  'rubbish',
  '[]',
  'null',
  '{"v":1}',
  '{"v":1,"is":"signed_in","toEnd":[]}',
  '{"is":"signed_in","token":"token-0","account":{},"session":{},"toEnd":[]}',
  '{"v":2,"is":"signed_in","token":"token-0","account":{},"session":{},"toEnd":[]}',
])('A stored text that cannot be understood (%j) is as good as none', async (text) => {
  const storage = memoryStorage()
  await storage.set('hufu', text)
  const network = fakeNetwork(() => issued('1'))
  const client = createClient({ baseUrl, transport: network.transport, storage, onBackgroundError: () => {} })
  expect(await client.start()).toMatchObject({ is: 'signed_out', reason: null })
  await client.signOut()
  await client.signIn(input)
  expect(stateOf(client)).toBe('session-1')
})

test('A client whose token was refused takes over the session that another client has stored', async () => {
  const storage = memoryStorage()
  const { client: first, network } = await signedInClient(storage)
  const told = vi.fn()
  first.onSignedIn(told)
  first.onSignedOut(told)
  network.answer = replaced
  const second = createClient({ baseUrl, transport: fakeNetwork(issuedThenDone('2')).transport, storage })
  await second.signIn(input)

  await expect(first.me()).rejects.toMatchObject({ code: 'session_replaced' })
  expect(stateOf(first)).toBe('session-2')
  expect(await storage.get('hufu')).toContain('token-2')
  expect(told.mock.calls).toMatchObject([[{ session: { id: 'session-2' } }]])
  network.answer = () => signedIn('2')
  await first.me()
  expect(network.asked.at(-1)).toMatchObject({ token: 'token-2' })
})

function issuedThenDone(name: string) {
  return ({ path }: { path: string }) => (path.endsWith('/end') ? done() : issued(name))
}

test('A refusal does not lose the new session that another client stores at the same moment', async () => {
  // A write takes effect late, so that the other client could read the old text meanwhile.
  const inner = memoryStorage()
  const storage: HufuStorage = {
    get: async (key) => await inner.get(key),
    set: (key, value) => sleep(20).then(() => inner.set(key, value)),
    remove: (key) => sleep(20).then(() => inner.remove(key)),
  }
  const { client: first, network } = await signedInClient(storage)
  network.answer = replaced
  const second = createClient({ baseUrl, transport: fakeNetwork(issuedThenDone('2')).transport, storage })
  await second.start()
  const signingIn = second.signIn(input)
  await sleep(5)
  await first.me().catch(() => {})
  await signingIn
  expect(inner.get('hufu')).toContain('token-2')
  expect(stateOf(second)).toBe('session-2')
  expect(stateOf(first)).toBe('session-2')
})

test('Two tabs on one localStorage do not lose each other’s writes', async () => {
  const map = new Map<string, string>()
  let meanwhile: (() => void) | null = null
  const localStorage = {
    getItem: (key: string) => {
      // The other tab writes as soon as it can, which must not be between the read and the write.
      if (meanwhile) queueMicrotask(meanwhile)
      meanwhile = null
      return map.get(key) ?? null
    },
    setItem: (key: string, value: string) => void map.set(key, value),
    removeItem: (key: string) => void map.delete(key),
  }
  const { client, network } = await signedInClient(webStorage(localStorage))
  const ofTheOther = map.get('hufu')?.replaceAll('-1', '-2') ?? ''
  network.answer = replaced
  meanwhile = () => void map.set('hufu', ofTheOther)
  await client.me().catch(() => {})
  expect(map.get('hufu')).toBe(ofTheOther)
})

test('After one client has signed out, the other one learns it from the server, once', async () => {
  const storage = memoryStorage()
  const { client: first, network } = await signedInClient(storage)
  const second = createClient({ baseUrl, transport: network.transport, storage })
  await second.start()
  network.answer = done
  await second.signOut()
  const told = vi.fn()
  first.onSignedOut(told)
  const by = { platform: 'web', device_name: null }
  network.answer = () => problem(401, 'session_signed_out', { ended_by: by })
  await Promise.allSettled([first.me(), first.devices()])
  expect(stateOf(first)).toBe('signed_out')
  expect(told.mock.calls).toMatchObject([
    [{ reason: 'signed_out', byDevice: { platform: 'web', name: null } }],
  ])
})

test('An emptied storage does not sign out, and the server still reports the reason', async () => {
  const storage = memoryStorage()
  const { client, network } = await signedInClient(storage)
  await storage.remove('hufu')
  network.answer = () => signedIn('1')
  await client.me()
  expect(stateOf(client)).toBe('session-1')
  network.answer = replaced
  await client.me().catch(() => {})
  expect(client.state).toMatchObject({ is: 'signed_out', reason: 'replaced' })
})

test('A sign-out ends the known session even if another program has emptied the storage', async () => {
  const storage = memoryStorage()
  const { client, network } = await signedInClient(storage)
  await storage.remove('hufu')
  network.answer = done
  await client.signOut()
  expect(network.asked.at(-1)).toMatchObject({ method: 'POST', path: '/v1/session/end', token: 'token-1' })
})

test('A refusal that arrives after the own sign-out does not change its reason', async () => {
  const storage = memoryStorage()
  const { client, network } = await signedInClient(storage)
  const late = held<Response>()
  network.answer = ({ path }) => (path.endsWith('/end') ? done() : late.promise)
  const asking = client.me().catch(() => {})
  await vi.waitFor(() => expect(network.asked).toHaveLength(2))
  await client.signOut()
  late.resolve(replaced())
  await asking
  expect(client.state).toMatchObject({ is: 'signed_out', reason: null })
  expect(await storage.get('hufu')).toBeNull()
})

test('A sign-out also ends the session that another client has stored meanwhile', async () => {
  const storage = memoryStorage()
  const { client: first, network } = await signedInClient(storage)
  const second = createClient({ baseUrl, transport: fakeNetwork(issuedThenDone('2')).transport, storage })
  await second.signIn(input)
  network.answer = done
  await first.signOut()
  expect(await storage.get('hufu')).toBeNull()
  expect(network.asked.map(({ token }) => token)).toContain('token-2')
})

test('Each stored value stays below 2 KB at the longest values that the server allows', async () => {
  const storage = memoryStorage()
  const network = fakeNetwork()
  const client = createClient({ baseUrl, transport: network.transport, storage })
  const longest = '🐯'.repeat(64)
  const device = { id: '"'.repeat(128), name: longest, app_version: '🐯'.repeat(32) }
  const session = { ...wireSession('i'.repeat(22)), platform: 'mini_program', device, ip: 'f'.repeat(45) }
  const account = {
    ...wireAccount,
    id: 'a'.repeat(36),
    phone_number: `+${'1'.repeat(15)}`,
    nickname: longest,
    avatar_url: `https://${'a'.repeat(2_000)}`,
  }
  for (let i = 10; i < 40; i++) {
    network.answer = ({ path }) => {
      if (path.endsWith('/end')) throw new TypeError('fetch failed')
      return json(201, { token: `hf_${i}${'t'.repeat(70)}`, session, account })
    }
    await client.signIn(input)
  }
  network.answer = () => json(200, account)
  await client.account()
  const [token = '', shown = ''] = [await storage.get('hufu'), await storage.get('hufu.account')]
  expect(token?.match(/hf_/g)).toHaveLength(5)
  expect(shown).toContain(longest)
  for (const text of [token, shown]) expect(new TextEncoder().encode(text ?? '').length).toBeLessThan(2048)
})

test('The token is stored apart from the displayed account', async () => {
  const storage = memoryStorage()
  const { client, network } = await signedInClient(storage)
  network.answer = () => json(200, wireAccount)
  await client.account()
  const [token, shown] = [await storage.get('hufu'), await storage.get('hufu.account')]
  expect(token).toContain('token-1')
  expect(token).not.toMatch(/小明|img\.example/)
  expect(shown).toMatch(/小明.*img\.example/)
  expect(shown).not.toContain('token-1')
})

test('A sign-out removes all personal data from the storage', async () => {
  const storage = memoryStorage()
  const { client, network } = await signedInClient(storage)
  network.answer = done
  await client.signOut()
  expect(await storage.get('hufu')).toBeNull()
  expect(await storage.get('hufu.account')).toBeNull()
})

test('If the stored account is lost, a check keeps it in memory and stores it again', async () => {
  const storage = memoryStorage()
  const { client, network } = await signedInClient(storage)
  network.answer = () => json(200, wireAccount)
  const account = await client.account()
  await storage.remove('hufu.account')
  network.answer = () => signedIn('1')
  expect((await client.me()).account).toEqual(account)
  expect(client.state).toMatchObject({ account })
  expect(await storage.get('hufu.account')).toContain('img.example')
})

test.each([
  'lost',
  'rubbish',
  'of another account',
])('Where what is shown of the account is %s, the person is signed in all the same', async (how) => {
  const storage = memoryStorage()
  await signedInClient(storage)
  const texts = {
    lost: '',
    rubbish: 'rubbish',
    'of another account': '{"v":1,"account":{"id":"x","nickname":"x"}}',
  }
  // The table above names the keys of this object.
  await storage.set('hufu.account', texts[how as keyof typeof texts])
  const network = fakeNetwork()
  const next = createClient({ baseUrl, transport: network.transport, storage })
  expect(await next.start()).toMatchObject({
    is: 'signed_in',
    account: { id: 'account-1', phoneNumber: '+8612345678901', nickname: null, hasPassword: null },
  })
  network.answer = () => signedIn('1')
  await next.me()
  expect(next.state).toMatchObject({ account: { nickname: '小明' } })
  expect(await storage.get('hufu.account')).toContain('小明')
})
