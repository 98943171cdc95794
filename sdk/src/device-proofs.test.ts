// Device proofs: stored for each number on this installation, and sent with requests about the number.
import { expect, test, vi } from 'vitest'
import { createClient, type HufuClient, type HufuStorage, memoryStorage } from './client.ts'
import {
  baseUrl,
  done,
  fakeNetwork,
  issued,
  json,
  signedIn,
  wireAccount,
  wireSession,
} from './fake-network.ts'

const typed = '12345678901'
const input = { phoneNumber: typed, password: '123456' }

function newClient(storage: HufuStorage, proof = 'hp_1') {
  const network = fakeNetwork(({ path }) => {
    if (path === '/v1/sessions') return issued('1', { proof })
    return path === '/v1/codes' ? json(202, { resend_in: 60, expires_in: 300 }) : done()
  })
  const onBackgroundError = vi.fn()
  const client = createClient({ baseUrl, transport: network.transport, storage, onBackgroundError })
  // A sign-in may end the previous session.
  const sent = () => network.asked.filter(({ path }) => !path.endsWith('/end')).at(-1)?.body
  return { client, network, onBackgroundError, sent }
}

const calls: [string, (client: HufuClient, phoneNumber: string) => Promise<unknown>][] = [
  ['sendCode', (client, phoneNumber) => client.sendCode({ phoneNumber, purpose: 'sign_in' })],
  ['signIn', (client, phoneNumber) => client.signIn({ phoneNumber, password: 'x' })],
  [
    'resetPassword',
    (client, phoneNumber) => client.resetPassword({ phoneNumber, code: '1', newPassword: 'x' }),
  ],
]

test.each(
  calls,
)('%s sends the proof of an earlier sign-in, after a sign-out and a new start', async (_name, call) => {
  const storage = memoryStorage()
  const first = newClient(storage)
  await first.client.signIn(input)
  expect(first.sent()).not.toHaveProperty('device_proof')
  await first.client.signOut()
  expect(await storage.get('hufu')).toBeNull()

  const { client, sent } = newClient(storage, '')
  await call(client, typed)
  expect(sent()).toMatchObject({ phone_number: typed, device_proof: 'hp_1' })
  await call(client, '+8612345678901')
  expect(sent()).toMatchObject({ device_proof: 'hp_1' })
  await call(client, ' 123-4567-８９０１')
  expect(sent()).toMatchObject({ device_proof: 'hp_1' })
  await call(client, '12345678902')
  expect(sent()).not.toHaveProperty('device_proof')
})

test('Requests that concern no number carry no proof', async () => {
  const { client, network } = newClient(memoryStorage())
  await client.signIn(input)
  network.answer = () => signedIn('1')
  await client.me()
  expect(JSON.stringify(network.asked.at(-1))).not.toContain('hp_1')
})

test('A new proof replaces the previous one, and a response without one keeps it', async () => {
  const storage = memoryStorage()
  await newClient(storage, 'hp_1').client.signIn(input)
  await newClient(storage, 'hp_2').client.signIn({ ...input, phoneNumber: '+86 12345678901' })
  await newClient(storage, '').client.signIn(input)
  const { client, sent } = newClient(storage)
  await client.signIn(input)
  expect(sent()).toMatchObject({ device_proof: 'hp_2' })
  expect(JSON.parse(String(await storage.get('hufu.proofs'))).proofs).toHaveLength(1)
})

test('The last eight numbers each have a proof, and the stored value stays small', async () => {
  const storage = memoryStorage()
  for (let index = 0; index < 10; index++) {
    const { client, network } = newClient(storage)
    const phone_number = `+861380000000${index}`
    const proof = `hp_${index}${'x'.repeat(60)}`
    const account = { ...wireAccount, phone_number }
    const session = wireSession('session-1')
    network.answer = () => json(201, { token: 'token-1', session, account, device_proof: proof })
    await client.signIn({ ...input, phoneNumber: `1380000000${index}` })
  }
  const { client, sent } = newClient(storage)
  await client.sendCode({ phoneNumber: '13800000009', purpose: 'sign_in' })
  expect(sent()).toMatchObject({ device_proof: expect.stringContaining('hp_9') })
  await client.sendCode({ phoneNumber: '13800000002', purpose: 'sign_in' })
  expect(sent()).toMatchObject({ device_proof: expect.stringContaining('hp_2') })
  await client.sendCode({ phoneNumber: '13800000001', purpose: 'sign_in' })
  expect(sent()).not.toHaveProperty('device_proof')
  expect(String(await storage.get('hufu.proofs')).length).toBeLessThan(2048)
})

test('After a sign-out, the storage contains no phone number', async () => {
  const storage = memoryStorage()
  const { client } = newClient(storage)
  await client.signIn(input)
  await client.signOut()
  expect(await storage.get('hufu.proofs')).toContain('hp_1')
  expect(await storage.get('hufu.proofs')).not.toMatch(/2345678/)
})

test.each([
  '',
  'a b',
  'é',
  'x'.repeat(65),
])('A proof that the server would refuse (%j) is not kept', async (proof) => {
  const storage = memoryStorage()
  await newClient(storage, proof).client.signIn(input)
  expect(await storage.get('hufu.proofs')).toBeNull()
})

test.each([
  ['rubbish', 'rubbish'],
  ['of another shape', '{"proofs":[null,{"numbers":1,"proof":2}]}'],
])('A stored value that is %s harms nothing, and gives way', async (_name, text) => {
  const storage = memoryStorage()
  await storage.set('hufu.proofs', text)
  const { client, sent } = newClient(storage)
  await client.signIn(input)
  expect(sent()).not.toHaveProperty('device_proof')
  await client.signIn(input)
  expect(sent()).toMatchObject({ device_proof: 'hp_1' })
})

test('A storage that parses JSON keeps the proofs, too', async () => {
  const inner = memoryStorage()
  const get = async (key: string) => JSON.parse((await inner.get(key)) ?? 'null')
  const { client, sent } = newClient({ ...inner, get })
  await client.signIn(input)
  await client.signIn(input)
  expect(sent()).toMatchObject({ device_proof: 'hp_1' })
})

test('If the storage of the proofs fails, every call works without them and the failure is reported', async () => {
  const inner = memoryStorage()
  const broken = new Error('broken')
  const failing = (key: string) => {
    if (key === 'hufu.proofs') throw broken
  }
  const { client, sent, onBackgroundError } = newClient({
    get: (key) => failing(key) ?? inner.get(key),
    set: (key, value) => failing(key) ?? inner.set(key, value),
    remove: (key) => inner.remove(key),
  })
  await client.signIn(input)
  await client.sendCode({ phoneNumber: typed, purpose: 'sign_in' })
  expect(sent()).not.toHaveProperty('device_proof')
  expect(client.state.is).toBe('signed_in')
  expect(onBackgroundError).toHaveBeenCalledWith(broken)
})
