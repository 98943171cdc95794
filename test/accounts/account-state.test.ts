// Every sequence of up to six of close, ban, timed ban, time passes, unban, sign in and purge, compared with
// a simple model.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isBarredNumber } from '../../src/accounts/barred-number-rows.ts'
import { BarredNumbers } from '../../src/accounts/barred-numbers.ts'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import { AppError } from '../../src/errors.ts'
import { noOrigin } from '../../src/events/events.ts'
import { accountFactsOf } from '../../src/sessions/account-columns.ts'
import { accountStateAt } from '../../src/sessions/account-state.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'

const depth = 6
const day = 86_400_000
const closing = 15 * day
const timedBan = 10 * day
const step = 8 * day
const device = { platform: 'ios', deviceId: null, deviceName: null, appVersion: null, ip: null } as const

/** The expected state of a number, computed by a model that shares no code with the program. */
interface Model {
  readonly now: number
  readonly isThere: boolean
  readonly isSignedIn: boolean
  /** The end of the ban; null: none; undefined: not banned. */
  readonly banEnds: number | null | undefined
  /** When the account may be removed; undefined: its owner has not closed it. */
  readonly removeAt: number | undefined
  /** The number of a removed account is banned. */
  readonly isNumberBanned: boolean
}

interface Step {
  readonly after: Model
  readonly answer: string
}

const isBanned = ({ banEnds, now }: Model) => banEnds !== undefined && (banEnds === null || now < banEnds)
const gone = { isThere: false, isSignedIn: false, banEnds: undefined, removeAt: undefined } as const

const models: Readonly<Record<string, (model: Model) => Step>> = {
  close: (model) =>
    model.isSignedIn
      ? { after: { ...model, isSignedIn: false, removeAt: model.now + closing }, answer: 'done' }
      : { after: model, answer: 'refused' },
  ban: (model) =>
    model.isThere
      ? { after: { ...model, isSignedIn: false, banEnds: null }, answer: 'done' }
      : { after: model, answer: 'account_not_found' },
  'timed ban': (model) => {
    if (!model.isThere) return { after: model, answer: 'account_not_found' }
    // A permanent ban stays permanent.
    if (model.banEnds === null) return { after: model, answer: 'account_banned' }
    return { after: { ...model, isSignedIn: false, banEnds: model.now + timedBan }, answer: 'done' }
  },
  'time passes': (model) => ({ after: { ...model, now: model.now + step }, answer: 'done' }),
  unban: (model) => ({ after: { ...model, banEnds: undefined, isNumberBanned: false }, answer: 'done' }),
  'sign in': (model) => {
    if (isBanned(model) || model.isNumberBanned) return { after: model, answer: 'account_banned' }
    return { after: { ...model, isThere: true, isSignedIn: true, removeAt: undefined }, answer: 'done' }
  },
  purge: (model) => {
    const isDue = model.removeAt !== undefined && model.removeAt <= model.now
    if (!isDue || (isBanned(model) && model.banEnds !== null)) return { after: model, answer: 'done' }
    return { after: { ...model, ...gone, isNumberBanned: isBanned(model) }, answer: 'done' }
  },
}
const actions = Object.keys(models)

/** One number in the model and in the program. */
interface Real {
  readonly phone: string
  /** The token of the last sign-in. */
  token: string
  sessionId: string
}

let nextNumber = 13_400_000_000

async function codeFor({ services }: RunningApp, phone: string): Promise<string> {
  const name = { phoneNumber: phone, purpose: 'sign_in' } as const
  await services.codeSender.send(phone, {
    purpose: 'sign_in',
    origin: noOrigin,
    deviceId: null,
    deviceProof: null,
  })
  await services.codeSender.close()
  const nonce = (await findCode(services.db, name))?.nonce ?? expect.fail()
  return codeOf(await getOrCreateKey(services.db), { ...name, nonce })
}

async function signIn(app: RunningApp, real: Real): Promise<void> {
  const code = await codeFor(app, real.phone)
  const issued = await app.services.signIn.by(
    'code',
    { device, origin: noOrigin },
    { phoneNumber: real.phone, code, nickname: null },
  )
  real.token = issued.token
  real.sessionId = issued.session.id
}

const idOf = async ({ services }: RunningApp, { phone }: Real) => (await services.accounts.get(phone)).id

const programs: Readonly<Record<string, (app: RunningApp, real: Real) => Promise<unknown>>> = {
  async close({ services }, real) {
    const account = await services.accounts.find(real.phone)
    if (!account) throw new AppError('token_unknown')
    const caller = { accountId: account.id, sessionId: real.sessionId, token: real.token }
    await services.lifecycle.close(async () => true, { ...caller, origin: noOrigin })
  },
  ban: async (app, real) => app.services.lifecycle.ban(await idOf(app, real), { until: null, reason: 'r' }),
  'timed ban': async (app, real) =>
    app.services.lifecycle.ban(await idOf(app, real), { until: app.clock.now() + timedBan, reason: null }),
  'time passes': async (app) => app.clock.advance(step),
  async unban(app, real) {
    const account = await app.services.accounts.find(real.phone)
    if (account) await app.services.lifecycle.unban(account.id)
    await app.services.lifecycle.unbanNumber(real.phone)
  },
  'sign in': signIn,
  purge: (app) => app.services.lifecycle.purge(app.clock.now(), 1_000),
}

async function answerOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work()
    return 'done'
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return /^session_|^token_/.test(error.code) ? 'refused' : error.code
  }
}

/** The state in the program, in the terms of the model. */
async function stateOf({ services, byHand, clock }: RunningApp, real: Real, barred: BarredNumbers) {
  const row = await byHand
    .selectFrom('hufu_accounts')
    .selectAll()
    .where('phone_number', '=', real.phone)
    .executeTakeFirst()
  const state = row ? accountStateAt(accountFactsOf(row), clock.now()) : 'gone'
  const verified = await services.verification.verify(real.token)
  const named = await byHand
    .selectFrom('hufu_events')
    .select('id')
    .where('phone_number', '=', real.phone)
    .where('account_id', 'is not', null)
    .execute()
  return {
    state,
    isSignedIn: verified.is === 'live',
    removeAt: row?.closes_at ?? undefined,
    isNumberBanned: await isBarredNumber(byHand, await barred.hashOf(real.phone)),
    isNamedByEvents: named.length > 0,
    /** Further state that may affect what follows: the rest of a ban that has ended. */
    leftover: [
      row?.banned_at === null,
      row?.banned_until === null ? null : (row?.banned_until ?? 0) - clock.now(),
    ],
  }
}

function expected(model: Model) {
  const state = isBanned(model) ? 'banned' : model.removeAt !== undefined ? 'closing' : 'active'
  return {
    state: model.isThere ? state : 'gone',
    isSignedIn: model.isSignedIn,
    removeAt: model.removeAt,
    isNumberBanned: model.isNumberBanned,
    isNamedByEvents: model.isThere,
  }
}

describe.each(databases)('$name', (database) => {
  const { skipped } = database
  let app: RunningApp
  let drop: () => Promise<void>
  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await database.create()
    drop = fresh.drop
    app = await startApp(fresh.url, { environment: { HUFU_SESSION_LIFE_DAYS: '0' } })
  })
  afterAll(async () => {
    await app?.close()
    await drop?.()
  })

  test.skipIf(skipped !== null)(
    'any six of them leave an account, its sessions and its number as the model says',
    async () => {
      const barred = new BarredNumbers(app.services.db)
      /** The states that were reached, with the number of actions that were still explored from there. */
      const seen = new Map<string, number>()
      let tried = 0

      /** Runs a sequence on a fresh account, and returns the states of the model and of the program. */
      async function follow(sequence: readonly string[]): Promise<{ model: Model; key: string }> {
        const real: Real = { phone: `+86${nextNumber++}`, token: '', sessionId: '' }
        await signIn(app, real)
        const now = app.clock.now()
        let model: Model = { ...gone, isThere: true, isSignedIn: true, isNumberBanned: false, now }
        let state = await stateOf(app, real, barred)
        for (const [i, action] of sequence.entries()) {
          const { after, answer } = models[action]?.(model) ?? expect.fail()
          const given = await answerOf(async () => programs[action]?.(app, real))
          model = after
          // The state before the last action was compared when that action was the last one.
          if (i < sequence.length - 1) continue
          state = await stateOf(app, real, barred)
          const { leftover: _, ...said } = state
          expect({ sequence, answer: given, ...said }).toEqual({ sequence, answer, ...expected(model) })
        }
        const relative = {
          ...state,
          removeAt: state.removeAt === undefined ? null : state.removeAt - app.clock.now(),
        }
        return { model, key: JSON.stringify(relative) }
      }

      async function explore(sequence: readonly string[]): Promise<void> {
        tried++
        const { key } = await follow(sequence)
        const left = depth - sequence.length
        // What follows from a state does not depend on how it was reached, because its key contains
        // everything that matters.
        if (left <= (seen.get(key) ?? -1)) return
        seen.set(key, left)
        if (left > 0) for (const action of actions) await explore([...sequence, action])
      }

      await explore([])
      expect(seen.size).toBeGreaterThan(20)
      console.log(`${database.name}: ${tried} sequences, ${seen.size} different states`)
    },
    300_000,
  )
})
