import { expect, test } from 'vitest'
import { AppError } from '../errors.ts'
import { noOrigin } from '../events/events.ts'
import { Credentials, type CredentialsOptions } from './credentials.ts'

test('a refused guess at a code for a new password reads no account', async () => {
  const asked: string[] = []
  const db = new Proxy({}, { get: (_none, name) => void asked.push(String(name)) })
  const parts = {
    db,
    proofs: { find: async () => null },
    limiter: {
      withLimit: async () => {
        throw new AppError('rate_limited', { retryAfterSeconds: 60 })
      },
    },
    region: 'CN',
  }
  const credentials = new Credentials(parts as unknown as CredentialsOptions)
  const request = {
    phoneNumber: '13800005223',
    code: '123456',
    newPassword: 'correct horse battery',
    deviceProof: null,
  }
  await expect(credentials.resetPassword(request, noOrigin)).rejects.toMatchObject({ code: 'rate_limited' })
  expect(asked).toEqual([])
})
