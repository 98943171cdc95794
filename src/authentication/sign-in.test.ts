import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import { expect, test } from 'vitest'
import { noOrigin } from '../events/events.ts'
import type { IssueRequest } from '../sessions/sessions.ts'
import { SignInService, type SignInServiceOptions } from './sign-in.ts'

/** A database without rows. */
const empty = new Kysely({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
})

test('a sign-in leaves its place after the commit, before the session cache is settled', async () => {
  const { promise: settled, resolve: settle } = Promise.withResolvers<object>()
  const steps: string[] = []
  const method = {
    name: 'code',
    numberOf: () => '+8613800005223',
    assertRoom: () => {},
    verify: async () => ({ fingerprint: null, admit: async () => null }),
  }
  const issue = async ({ onCommitted }: IssueRequest) => {
    steps.push('commit')
    onCommitted?.()
    return await settled
  }
  const parts = {
    db: empty,
    proofs: { find: async () => null },
    sessions: { issue },
    limiter: {
      withLimit: (_check: unknown, _subject: unknown, compare: (...given: unknown[]) => unknown) =>
        compare({}, () => steps.push('leave')),
    },
    methods: { code: method },
  }
  const service = new SignInService(parts as unknown as SignInServiceOptions)
  const context = { device: { deviceId: null, ip: '192.0.2.1' }, origin: noOrigin }
  const signedIn = service.by('code', context as never, {} as never).then(() => steps.push('answer'))
  await expect.poll(() => steps).toEqual(['commit', 'leave'])
  settle({})
  await signedIn
  expect(steps).toEqual(['commit', 'leave', 'answer'])
})
