import { expect, test } from 'vitest'
import { ProofLookups } from './proof-lookups.ts'

/** A database that answers no statement until `open` is called, and counts those that wait for it. */
function closedDatabase() {
  const gate = Promise.withResolvers<void>()
  const asked = { now: 0, most: 0 }
  const find = async () => {
    asked.most = Math.max(asked.most, ++asked.now)
    await gate.promise
    asked.now--
    return null
  }
  return { find, asked, open: gate.resolve }
}

const presented = { phoneNumber: '+8613800005223', text: 'hp_made_up', deviceId: null }

test('made-up proofs of one address are looked up one after the other, and a number of them waits', async () => {
  const { find, asked, open } = closedDatabase()
  const lookups = new ProofLookups(find)
  const flood = Array.from({ length: 200 }, () => lookups.find({ ...presented, address: '203.0.113.7' }))
  const results = Promise.allSettled(flood)
  await lookups.find({ ...presented, text: null, address: '203.0.113.7' })
  const other = lookups.find({ ...presented, address: '198.51.100.9' })
  // An IPv6 network of 64 bits is one address.
  const network = ['2001:db8::1', '2001:db8::2'].map((address) => lookups.find({ ...presented, address }))
  await Promise.resolve()
  expect(asked.now).toBe(3)
  open()
  await Promise.all([other, ...network])
  const refused = (await results).filter(({ status }) => status === 'rejected')
  expect(refused).toHaveLength(150)
  for (const one of refused) expect(one).toMatchObject({ reason: { code: 'overloaded' } })
  expect(asked.most).toBe(3)
})
