import { expect, test } from 'vitest'
import { AppError } from '../errors.ts'
import { noOrigin } from '../events/events.ts'
import { CodeSender, type CodeSenderOptions, places } from './code-sender.ts'

const request = {
  purpose: 'reset_password',
  origin: { ...noOrigin, ip: '192.0.2.1' },
  deviceId: null,
  deviceProof: null,
} as const

/** A sender whose limits refuse every request once `refuse` is called. */
function openSender() {
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => {})
  const parts = {
    proofs: { find: async () => null },
    codes: { isTestNumber: () => false },
    destinations: { assertServed: () => {} },
    limiter: { requestCode: () => promise },
    region: 'CN',
  }
  const sender = new CodeSender(parts as unknown as CodeSenderOptions)
  const send = () => sender.send('13800005223', request).catch((error) => error.code)
  return { send, refuse: () => reject(new AppError('rate_limited', { retryAfterSeconds: 60 })) }
}

test('requests at once take no more places than their address has, and a refused one gives its place back', async () => {
  const { send, refuse } = openSender()
  const answers = Array.from({ length: places.maxOfOne + 50 }, send)
  refuse()
  const codes = await Promise.all(answers)
  expect(codes.filter((code) => code === 'overloaded')).toHaveLength(50)
  expect(codes.filter((code) => code === 'rate_limited')).toHaveLength(places.maxOfOne)
  expect(await Promise.all(Array.from({ length: places.maxOfOne }, send))).toEqual(
    Array(places.maxOfOne).fill('rate_limited'),
  )
})
