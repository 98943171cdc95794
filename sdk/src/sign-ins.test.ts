// Sign-ins that a person considers one: a double tap, and the repeat of a sign-in whose response was lost.
import { expect, test, vi } from 'vitest'
import { type ClientOptions, createClient, memoryStorage } from './client.ts'
import {
  baseUrl,
  done,
  fakeNetwork,
  held,
  issued,
  offline,
  portal,
  problem,
  signedIn,
} from './fake-network.ts'

const byCode = { phoneNumber: '12345678901', code: '123456' }
const byPassword = { phoneNumber: '12345678901', password: 'secret-password' }

function newClient(options: Partial<ClientOptions> = {}) {
  const network = fakeNetwork(() => issued('1'))
  const clock = { ms: Date.UTC(2026, 10, 28), now: () => clock.ms }
  const onBackgroundError = vi.fn()
  const client = createClient({ baseUrl, transport: network.transport, clock, onBackgroundError, ...options })
  const keys = () =>
    network.asked
      .filter(({ path }) => path === '/v1/sessions')
      .map(({ init }) => init.headers['idempotency-key'])
  return { client, network, clock, keys, onBackgroundError }
}

/** A server that accepts a code once. */
function codeServer() {
  let used = 0
  return () => (used++ === 0 ? issued('1') : problem(401, 'code_wrong'))
}

test('A double tap with a code is one sign-in, and both taps get its result', async () => {
  const { client, network } = newClient()
  network.answer = codeServer()
  const [first, second] = await Promise.all([client.signIn(byCode), client.signIn({ ...byCode })])
  expect(second).toBe(first)
  expect(network.asked).toHaveLength(1)
})

test('A second tap after the response gets the same result, as long as the session is signed in', async () => {
  const { client, network, clock } = newClient()
  network.answer = codeServer()
  const first = await client.signIn(byCode)
  clock.ms += 119_000
  expect(await client.signIn(byCode)).toBe(first)
  network.answer = () => problem(401, 'session_kicked')
  await client.me().catch(() => {})
  network.answer = () => problem(401, 'code_wrong')
  await expect(client.signIn(byCode)).rejects.toMatchObject({ code: 'code_wrong' })
})

test('Both taps get a failure, and the next tap sends a request', async () => {
  const { client, network } = newClient()
  network.answer = () => problem(401, 'code_wrong')
  const taps = await Promise.allSettled([client.signIn(byCode), client.signIn(byCode)])
  expect(taps.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(network.asked).toHaveLength(1)
  network.answer = () => issued('1')
  await client.signIn(byCode)
  expect(network.asked).toHaveLength(2)
})

test('Another code, another number or another device is another sign-in', async () => {
  const { client, network } = newClient()
  const others = [{ code: '654321' }, { phoneNumber: '12345678902' }, { device: { id: 'd-1' } }]
  await Promise.all([byCode, ...others.map((other) => ({ ...byCode, ...other }))].map(client.signIn))
  expect(network.asked.filter(({ path }) => path === '/v1/sessions')).toHaveLength(4)
})

test('A sign-in after a sign-out is a new one, even while the first is under way', async () => {
  const { client, network } = newClient()
  let count = 0
  const late = held<Response>()
  network.answer = ({ path }) => {
    if (path.endsWith('/end')) return done()
    return count++ === 0 ? late.promise : issued('2')
  }
  const first = client.signIn(byPassword)
  const out = client.signOut()
  const second = client.signIn(byPassword)
  late.resolve(issued('1'))
  await Promise.all([first, out, second])
  expect(client.state).toMatchObject({ is: 'signed_in', session: { id: 'session-2' } })
})

test('A password signs in again each time that it is sent', async () => {
  const { client, network } = newClient()
  await client.signIn(byPassword)
  network.answer = () => issued('2')
  expect(await client.signIn(byPassword)).toMatchObject({ session: { id: 'session-2' } })
})

test('Each sign-in has an idempotency key of 128 random bits', async () => {
  const { client, keys } = newClient()
  for (let index = 0; index < 50; index++) await client.signIn(byPassword)
  const all = keys()
  expect(new Set(all).size).toBe(50)
  for (const key of all) expect(key).toMatch(/^[\w-]{21}[AQgw]$/)
})

test('The key encodes the random bytes', async () => {
  const bytes = Uint8Array.from({ length: 16 }, (_, index) => index * 17)
  const { client, keys } = newClient({ randomBytes: () => Promise.resolve(bytes) })
  await client.signIn(byPassword)
  expect(keys()).toEqual([Buffer.from(bytes).toString('base64url')])
})

test.each([
  ['the network', offline],
  ['a Wi-Fi page', () => portal()],
  ['a proxy', () => portal(502)],
  ['the server', () => problem(503, 'unavailable')],
  ['a limit', () => problem(429, 'rate_limited')],
])('After a failure of %s the same sign-in is repeated under the same key', async (_name, failure) => {
  const { client, network, clock, keys } = newClient()
  network.answer = failure
  await client.signIn(byCode).catch(() => {})
  clock.ms += 119_000
  await client.signIn(byCode).catch(() => {})
  network.answer = () => issued('1')
  expect(await client.signIn(byCode)).toMatchObject({ session: { id: 'session-1' } })
  expect(keys()[0]).toMatch(/^[\w-]{22}$/)
  expect(keys()).toEqual([keys()[0], keys()[0], keys()[0]])
})

test('A request that timed out is repeated with the same key', async () => {
  const { client, network, keys } = newClient({ timeoutMs: 20 })
  network.answer = () => held<Response>().promise
  await client.signIn(byCode).catch(() => {})
  network.answer = () => issued('1')
  await client.signIn(byCode)
  expect(keys()[0]).toMatch(/^[\w-]{22}$/)
  expect(keys()[1]).toBe(keys()[0])
})

test.each([
  ['after two minutes', byCode, 120_000],
  ['with another code', { ...byCode, code: '654321' }, 0],
  ['with another device', { ...byCode, device: { name: 'x' } }, 0],
  ['after the clock went back', byCode, -1],
])('The key of a lost answer is not used %s', async (_name, next, ms) => {
  const { client, network, clock, keys } = newClient()
  network.answer = offline
  await client.signIn(byCode).catch(() => {})
  clock.ms += ms
  network.answer = () => issued('1')
  await client.signIn(next)
  expect(keys()[1]).toMatch(/^[\w-]{22}$/)
  expect(keys()[1]).not.toBe(keys()[0])
})

test('A key whose session has ended is replaced, once', async () => {
  const { client, network, keys } = newClient()
  const used = () =>
    problem(422, 'invalid_request', { fields: [{ pointer: '/idempotency-key', problem: 'is_used' }] })
  network.answer = offline
  await client.signIn(byPassword).catch(() => {})
  network.answer = used
  await expect(client.signIn(byPassword)).rejects.toMatchObject({ code: 'invalid_request' })
  expect(keys()).toHaveLength(3)
  expect(keys()[1]).toBe(keys()[0])
  expect(keys()[2]).not.toBe(keys()[0])
  network.answer = () => (keys().length === 4 ? used() : issued('1'))
  expect(await client.signIn(byPassword)).toMatchObject({ session: { id: 'session-1' } })
  expect(keys()).toHaveLength(5)
})

test('A successful sign-in discards its key', async () => {
  const { client, network, keys } = newClient()
  network.answer = offline
  await client.signIn(byPassword).catch(() => {})
  network.answer = () => issued('1')
  await client.signIn(byPassword)
  await client.signIn(byPassword)
  expect(keys()[1]).toBe(keys()[0])
  expect(keys()[2]).not.toBe(keys()[0])
})

test('Without a secure source of randomness there is no key, and sign-ins still work', async () => {
  vi.stubGlobal('crypto', undefined)
  const without = newClient()
  await without.client.signIn(byCode)
  vi.unstubAllGlobals()
  expect(without.keys()).toEqual([undefined])
  for (const randomBytes of [() => null, () => new Uint8Array(8)]) {
    const { client, keys } = newClient({ randomBytes })
    await client.signIn(byCode)
    expect(keys()).toEqual([undefined])
  }
})

test('A source of randomness that fails is reported, and sign-ins still work', async () => {
  const broken = new Error('no entropy')
  const { client, keys, onBackgroundError } = newClient({ randomBytes: () => Promise.reject(broken) })
  await client.signIn(byCode)
  expect(keys()).toEqual([undefined])
  expect(onBackgroundError).toHaveBeenCalledWith(broken)
})

test('Only a sign-in carries a key, and the storage contains none', async () => {
  const storage = memoryStorage()
  const { client, network, keys } = newClient({ storage })
  await client.signIn(byPassword)
  network.answer = () => signedIn('1')
  await client.me()
  expect(network.asked.at(-1)?.init.headers).not.toHaveProperty('idempotency-key')
  expect(keys()).toEqual([expect.stringMatching(/^[\w-]{22}$/)])
  expect(`${await storage.get('hufu')}${await storage.get('hufu.account')}`).not.toContain(keys()[0])
})
