// A sign-in whose response was lost is repeated with its key: one session, one valid token, and never a used
// one.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { text as readText } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { ManualClock } from '../../src/clock.ts'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import { Codes } from '../../src/codes/codes.ts'
import type { Purpose } from '../../src/codes/purpose.ts'
import type { Database } from '../../src/database/schema.ts'
import { noOrigin } from '../../src/events/events.ts'
import type { Guess } from '../../src/limits/guess.ts'
import { hashDeviceProof } from '../../src/sessions/device-proofs.ts'
import { deviceProofFromKey, newSignInNonce, tokenFromKey } from '../../src/sessions/keyed-tokens.ts'
import { lockAccount } from '../../src/sessions/locked-account-rows.ts'
import type { IssuedSession } from '../../src/sessions/sessions.ts'
import { findRepeatable } from '../../src/sessions/sign-in-repeat-rows.ts'
import { fingerprintOf } from '../../src/sessions/sign-in-repeats.ts'
import { hashToken } from '../../src/sessions/token.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases, redisUrl, stores } from '../support/databases.ts'
import { addAccount, type Domain, openDomain, phone } from '../support/in-process-server.ts'
import { untilDone } from '../support/services/until.ts'
import { Cut, faults, nextTurn, type Watcher } from '../support/step-faults.ts'
import { type Answer, ask, clientOf } from '../support/v1-calls.ts'

const minuteMs = 60_000
let nextNumber = 13_600_000_000

function newNumber(): string {
  nextNumber++
  return `+86${nextNumber}`
}

const newKey = () => randomBytes(16).toString('base64url')
const iphone = { platform: 'ios', id: 'A1B2C3', name: 'iPhone 15' }
const laptop = { platform: 'web', name: 'Firefox' }

/** Sends a plain request, because the SDK chooses its keys itself. */
function signIn(app: RunningApp, key: string | null, body: object): Promise<Answer> {
  const headers = key === null ? {} : { 'idempotency-key': key }
  return ask(app, 'POST', '/v1/sessions', { headers, body: { device: iphone, ...body } })
}

/** The same with a request of which the server gets all but the last byte. */
async function holdSignIn(app: RunningApp, key: string, body: object) {
  const text = JSON.stringify({ device: iphone, ...body })
  const asked = request(`${app.url}/v1/sessions`, {
    method: 'POST',
    agent: false,
    headers: {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      'idempotency-key': key,
    },
  })
  const answered = once(asked, 'response')
  await new Promise<void>((resolve) => asked.write(text.slice(0, -1), () => resolve()))
  return {
    async finish() {
      asked.end(text.slice(-1))
      const [response] = await answered
      return { status: response.statusCode, body: JSON.parse(await readText(response)) }
    },
  }
}

const tokenOf = ({ body }: Pick<Answer, 'body'>) => String(body.token)
/** The public half of a token is the id of its session. */
const idOf = (answer: Pick<Answer, 'body'>) => tokenOf(answer).slice(3, 25)

/** The server's verdict on a token: 200, or the code of its refusal. */
/**
 * The status of a check, or the code of its error. Like a client, it asks again where the database is busy
 * with the attempts of this test.
 */
async function verdictOn(token: string, app: RunningApp): Promise<unknown> {
  await nextTurn()
  return await untilDone(async () => {
    const { status, body } = await clientOf(app).me(token)
    if (status === 503) throw new Error(`the check is refused: ${JSON.stringify(body)}`)
    return body.code ?? status
  })
}

for (const { name, skipped, database, redis } of stores) {
  describe.skipIf(skipped !== null)(name, () => {
    let here: RunningApp
    let there: RunningApp
    let url: string
    let drop: () => Promise<void>

    beforeAll(async () => {
      const fresh = await database.create()
      url = fresh.url
      drop = fresh.drop
      const environment = { HUFU_PASSWORD_QUEUE: '1000', ...(redis && { HUFU_REDIS_URL: redisUrl() ?? '' }) }
      here = await startApp(url, { environment })
      there = await startApp(url, { environment })
    })
    afterAll(async () => {
      await here?.close()
      await there?.close()
      await drop?.()
    })

    function advance(ms: number): void {
      here.clock.advance(ms)
      there.clock.advance(ms)
    }

    async function codeFor(phoneNumber: string, purpose: Purpose = 'sign_in'): Promise<string> {
      expect(await clientOf(here).sendCode({ phoneNumber, purpose })).toMatchObject({ status: 202 })
      // A message that only the owner of an account gets is prepared after the response.
      const row = await vi.waitFor(async () => {
        const found = await findCode(here.services.db, { phoneNumber, purpose })
        return found ?? expect.fail('no code')
      }, 10_000)
      const key = await getOrCreateKey(here.services.db)
      return codeOf(key, { phoneNumber, purpose, nonce: row.nonce })
    }

    /** A sign-in by code that created an account, and whose response was lost. */
    async function lost() {
      const key = newKey()
      const body = { phone_number: newNumber(), code: await codeFor(`+86${nextNumber}`) }
      const first = await signIn(here, key, body)
      expect(first).toMatchObject({ status: 201, body: { created: true } })
      const { id: accountId } = first.body.account as { id: string }
      return { key, body, first, accountId, phoneNumber: body.phone_number }
    }

    async function listEventsOf(accountId: string): Promise<string[]> {
      const rows = await here.services.db
        .selectFrom('hufu_events')
        .select('kind')
        .where('account_id', '=', accountId)
        .orderBy('id')
        .execute()
      return rows.map(({ kind }) => kind)
    }

    async function sessionsOf(accountId: string) {
      return await here.services.db
        .selectFrom('hufu_sessions')
        .select(['id', 'ended_at', 'previous_token_hash', 'rotation_nonce'])
        .where('account_id', '=', accountId)
        .execute()
    }

    const everywhere = async (token: string) => [await verdictOn(token, here), await verdictOn(token, there)]
    const both = (answer: unknown) => [answer, answer]

    test('the repeat of a sign-up gets the same token for the same session', async () => {
      const { key, body, first, accountId } = await lost()
      const again = await signIn(there, key, body)
      expect(again).toMatchObject({ status: 201, body: { created: true, account: { id: accountId } } })
      expect(idOf(again)).toBe(idOf(first))
      expect(again.body).toEqual(first.body)
      expect(await everywhere(tokenOf(again))).toEqual(both(200))
      expect(await sessionsOf(accountId)).toEqual([
        { id: idOf(first), ended_at: null, previous_token_hash: null, rotation_nonce: null },
      ])
      expect((await listEventsOf(accountId)).toSorted()).toEqual([
        'account_created',
        'sign_in_repeated',
        'signed_in',
      ])
    })

    test('a first try that arrives after its repeat was answered gives the same answer, and ends nothing', async () => {
      const key = newKey()
      const body = { phone_number: newNumber(), code: await codeFor(`+86${nextNumber}`) }
      const late = await holdSignIn(here, key, body)
      const read = await signIn(there, key, body)
      expect(read.status).toBe(201)
      expect((await late.finish()).body).toEqual(read.body)
      expect(await everywhere(tokenOf(read))).toEqual(both(200))
      const { body: proved } = await signIn(here, newKey(), {
        phone_number: body.phone_number,
        code: await codeFor(`+86${nextNumber}`),
        device_proof: read.body.device_proof,
      })
      expect(proved).not.toHaveProperty('device_proof')
    })

    test('a session that the version before made gets another token, and its repeats the same again', async () => {
      const { key, body, first } = await lost()
      const foreign = `hf_${idOf(first)}${'x'.repeat(43)}`
      await here.byHand
        .updateTable('hufu_sessions')
        .set({ token_hash: hashToken(foreign), rotation_nonce: 'made_account' })
        .where('id', '=', idOf(first))
        .execute()
      const again = await signIn(there, key, body)
      expect(again).toMatchObject({ status: 201, body: { created: true } })
      expect(tokenOf(again)).not.toBe(tokenOf(first))
      expect(tokenOf(await signIn(here, key, body))).toBe(tokenOf(again))
      expect(await everywhere(foreign)).toEqual(both('token_unknown'))
      expect(await everywhere(tokenOf(again))).toEqual(both(200))
    })

    test('the token and the proof are made from the key and the nonce, and the nonce goes with the first use', async () => {
      const { key, first, accountId } = await lost()
      const [row = expect.fail()] = await sessionsOf(accountId)
      const source = { key, sessionId: row.id, nonce: row.rotation_nonce ?? expect.fail() }
      expect(tokenFromKey(source)).toBe(tokenOf(first))
      for (const other of [{ key: newKey() }, { nonce: newSignInNonce(true) }, { sessionId: 'another' }])
        expect(tokenFromKey({ ...source, ...other }).slice(25)).not.toBe(tokenOf(first).slice(25))
      expect(deviceProofFromKey(source)).toBe(first.body.device_proof)
      expect(deviceProofFromKey(source).slice(3)).not.toBe(tokenOf(first).slice(25))
      expect(await everywhere(tokenOf(first))).toEqual(both(200))
      expect((await sessionsOf(accountId))[0]?.rotation_nonce).toBeNull()
    })

    test('the repeat gets the same device proof', async () => {
      const { key, body, first, accountId } = await lost()
      const again = await signIn(there, key, body)
      const proofs = await here.services.db
        .selectFrom('hufu_device_proofs')
        .select('proof_hash')
        .where('account_id', '=', accountId)
        .execute()
      expect(again.body.device_proof).toBe(first.body.device_proof)
      expect(proofs).toEqual([{ proof_hash: hashDeviceProof(String(again.body.device_proof)) }])
    })

    test('after the first use of the token, no request gets it again', async () => {
      const { key, body, first } = await lost()
      expect(await everywhere(tokenOf(first))).toEqual(both(200))
      expect(await signIn(there, key, body)).toMatchObject({ status: 401, body: { code: 'code_wrong' } })
      expect(await everywhere(tokenOf(first))).toEqual(both(200))
    })

    test('a repeat may be repeated', async () => {
      const { key, body, first, accountId } = await lost()
      const answers = [first]
      for (let i = 0; i < 4; i++) answers.push(await signIn(i % 2 === 0 ? there : here, key, body))
      for (const answer of answers) expect(answer.body).toEqual(first.body)
      expect(await everywhere(tokenOf(first))).toEqual(both(200))
      expect(await sessionsOf(accountId)).toHaveLength(1)
    })

    test('by password all repeats are one session; a wrong password changes nothing', async () => {
      const phoneNumber = newNumber()
      const { id } = await addPerson(here.services, phoneNumber)
      const key = newKey()
      const body = { phone_number: phoneNumber, password: person.password }
      const first = await signIn(here, key, body)
      expect(first).toMatchObject({ status: 201, body: { created: false } })
      const wrong = await signIn(there, key, { ...body, password: 'wrong' })
      expect(wrong).toMatchObject({ status: 401, body: { code: 'credentials_wrong' } })
      const again = await signIn(there, key, body)
      expect([again.status, tokenOf(again), again.body.created]).toEqual([201, tokenOf(first), false])
      expect(await everywhere(tokenOf(again))).toEqual(both(200))
      // After the first use, a late request with this key replaces nothing, on any server, within an hour.
      for (const ms of [0, 2 * minuteMs, 57 * minuteMs]) {
        advance(ms)
        for (const server of [here, there])
          expect(await signIn(server, key, body)).toMatchObject({
            status: 422,
            body: { code: 'invalid_request', fields: [{ pointer: '/idempotency-key', problem: 'is_used' }] },
          })
      }
      expect(await everywhere(tokenOf(again))).toEqual(both(200))
      expect(await sessionsOf(id)).toHaveLength(1)
      expect((await listEventsOf(id)).filter((kind) => kind === 'signed_in')).toHaveLength(1)
      // Another key is another sign-in, which replaces the session of this device.
      const third = await signIn(here, newKey(), body)
      expect(third.status).toBe(201)
      expect(await everywhere(tokenOf(again))).toEqual(both('session_replaced'))
      // The first key does not replace that one.
      expect((await signIn(there, key, body)).status).toBe(422)
      expect(await everywhere(tokenOf(third))).toEqual(both(200))
    })

    test('a first attempt by password that is overtaken by its repeat and its first use replaces nothing', async () => {
      const phoneNumber = newNumber()
      const { id } = await addPerson(here.services, phoneNumber)
      const body = { phone_number: phoneNumber, password: person.password }
      for (const rounds of [1, 4]) {
        const key = newKey()
        const late = holdSignIn(here, key, body)
        const repeat = await signIn(there, key, body)
        expect(await everywhere(tokenOf(repeat))).toEqual(both(200))
        const answers = await Promise.all([
          (await late).finish(),
          ...Array.from({ length: rounds }, () => signIn(there, key, body)),
        ])
        expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 422))
        expect(await everywhere(tokenOf(repeat))).toEqual(both(200))
        const live = (await sessionsOf(id)).filter(({ ended_at }) => ended_at === null)
        expect(live.map((session) => session.id)).toEqual([idOf(repeat)])
      }
    })

    test('a request that differs in anything is no repeat: the code is used up, and the first token stays valid', async () => {
      const { key, body, first, phoneNumber } = await lost()
      const others: [string, string | null, object][] = [
        ['no key', null, body],
        ['another key', newKey(), body],
        ['another device', key, { ...body, device: { ...iphone, id: 'other' } }],
        ['another name', key, { ...body, device: { ...iphone, name: 'iPhone 16' } }],
        ['another platform', key, { ...body, device: { ...iphone, platform: 'android' } }],
        ['no device', key, { ...body, device: undefined }],
        ['another code', key, { ...body, code: body.code === '000000' ? '000001' : '000000' }],
      ]
      for (const [what, otherKey, other] of others)
        expect({ what, ...(await signIn(there, otherKey, other)) }).toMatchObject({
          what,
          status: 401,
          body: { code: 'code_wrong' },
        })
      const stranger = { ...body, phone_number: newNumber() }
      expect(await signIn(there, key, stranger)).toMatchObject({ status: 401, body: { code: 'code_wrong' } })
      expect(await everywhere(tokenOf(first))).toEqual(both(200))
      expect(phoneNumber).not.toBe(stranger.phone_number)
    })

    test('a code in another spelling is the same code', async () => {
      const { key, body, first } = await lost()
      const spaced = `${body.code.slice(0, 3)} ${body.code.slice(3)}`
      expect(idOf(await signIn(there, key, { ...body, code: spaced }))).toBe(idOf(first))
    })

    test('a sign-in can be repeated for two minutes', async () => {
      const early = await lost()
      const late = await lost()
      advance(2 * minuteMs - 1)
      expect((await signIn(there, early.key, early.body)).status).toBe(201)
      advance(1)
      expect(await signIn(there, late.key, late.body)).toMatchObject({
        status: 401,
        body: { code: 'code_wrong' },
      })
      expect(await everywhere(tokenOf(late.first))).toEqual(both(200))
    })

    const ends: [
      string,
      string,
      (lost: { accountId: string; id: string; phoneNumber: string }) => Promise<unknown>,
    ][] = [
      [
        'a sign-out',
        'session_signed_out',
        ({ accountId, id }) => here.services.sessions.end({ id, accountId, reason: 'signed_out', by: null }),
      ],
      [
        'the removal of the device',
        'session_kicked',
        ({ accountId }) =>
          here.services.sessions.endAll({ accountId, except: null, reason: 'kicked', by: null }),
      ],
      [
        'a change of the password',
        'session_password_changed',
        async ({ phoneNumber }) => {
          const code = await codeFor(phoneNumber, 'reset_password')
          const reset = { phoneNumber, code, newPassword: 'correct horse battery', deviceProof: null }
          await here.services.credentials.resetPassword(reset, noOrigin)
        },
      ],
      [
        'a sign-in that replaces the session',
        'session_replaced',
        async ({ phoneNumber }) => {
          const code = await codeFor(phoneNumber)
          expect((await signIn(here, newKey(), { phone_number: phoneNumber, code })).status).toBe(201)
        },
      ],
    ]
    test.each(ends)('a repeat restores no session after %s', async (_name, ending, end) => {
      const { key, body, first, accountId } = await lost()
      await end({ accountId, id: idOf(first), phoneNumber: body.phone_number })
      expect(await signIn(there, key, body)).toMatchObject({ status: 401, body: { code: 'code_wrong' } })
      expect(await everywhere(tokenOf(first))).toEqual(both(ending))
      expect(await listEventsOf(accountId)).not.toContain('sign_in_repeated')
    })

    test('a repeat for a banned account is refused as banned, and its session stays ended', async () => {
      const { key, body, first, accountId } = await lost()
      await here.services.lifecycle.ban(accountId, { until: null, reason: null })
      const refused = await signIn(there, key, body)
      expect(refused.status).toBeGreaterThanOrEqual(401)
      expect(await everywhere(tokenOf(first))).toEqual(both('session_banned'))
      expect(await listEventsOf(accountId)).not.toContain('sign_in_repeated')
    })

    test('a repeat replaces nothing: the other devices of the account stay signed in', async () => {
      const { key, body, phoneNumber } = await lost()
      const code = await codeFor(phoneNumber)
      const other = await signIn(here, newKey(), { phone_number: phoneNumber, code, device: laptop })
      const again = await signIn(there, key, body)
      expect(again.status).toBe(201)
      expect(await everywhere(tokenOf(other))).toEqual(both(200))
      expect(await everywhere(tokenOf(again))).toEqual(both(200))
    })

    test('64 parallel attempts through two servers get one session and one token', async () => {
      const key = newKey()
      const phoneNumber = newNumber()
      const body = { phone_number: phoneNumber, code: await codeFor(phoneNumber) }
      const answers = await Promise.all(
        Array.from({ length: 64 }, (_, i) => signIn(i % 2 === 0 ? here : there, key, body)),
      )
      const done = answers.filter(({ status }) => status === 201)
      // A request that waits too long for the lock gets 503 and may retry.
      for (const { status, body: answered } of answers)
        expect([201, 503], JSON.stringify(answered)).toContain(status)
      expect(done.length).toBeGreaterThan(1)
      expect(new Set(done.map(tokenOf)).size).toBe(1)
      const verdicts = await Promise.all(
        done.map((answer, i) => verdictOn(tokenOf(answer), i % 2 === 0 ? there : here)),
      )
      expect(verdicts).toEqual(done.map(() => 200))
      const { id } = done[0]?.body.account as { id: string }
      expect(await sessionsOf(id)).toHaveLength(1)
      expect((await listEventsOf(id)).filter((kind) => kind !== 'sign_in_repeated').toSorted()).toEqual([
        'account_created',
        'signed_in',
      ])
    })

    test('tries of one keyed sign-in in a row are one guess at the code, until another guess comes', async () => {
      const name = { phoneNumber: newNumber(), purpose: 'sign_in' } as const
      const code = await codeFor(name.phoneNumber)
      const wrong = code === '000000' ? '000001' : '000000'
      const { db } = here.services
      const testNumbers = { codes: new Map(), until: 0 }
      const codes = new Codes({ db, clock: here.clock, key: () => getOrCreateKey(db), testNumbers })
      const guess: Guess = {
        count: async () => 'allowed',
        isSecondCorrectCode: async () => false,
        isWrong: false,
      }
      const check = (given: string, fingerprint: string | null) =>
        codes.check(name, given, guess, fingerprint).then(
          () => 'right',
          () => 'refused',
        )
      const guesses = async () => (await findCode(there.services.db, name))?.guesses
      for (const fingerprint of [null, null, 'a'.repeat(43), 'b'.repeat(43)])
        expect(await check(wrong, fingerprint)).toBe('refused')
      expect(await guesses()).toBe(4)
      // None of these commits: the transaction of the first one is still under way.
      const tries = Array.from({ length: 8 }, () => check(code, 'c'.repeat(43)))
      expect(await Promise.all(tries)).toEqual(tries.map(() => 'right'))
      expect(await guesses()).toBe(5)
      for (const fingerprint of [null, 'a'.repeat(43), 'd'.repeat(43)])
        expect(await check(code, fingerprint)).toBe('refused')
      expect(await check(code, 'c'.repeat(43))).toBe('right')
    })

    test('an accepted token is never given again, however its first use and the repeats overlap', async () => {
      for (let round = 0; round < 12; round++) {
        const { key, body, first, accountId } = await lost()
        const token = tokenOf(first)
        // The first use comes first, in between, or last.
        const later = async <T>(work: () => Promise<T>): Promise<T> => {
          for (let turn = 0; turn < (round % 4) * 5; turn++) await nextTurn()
          return await work()
        }
        const [used, ...repeats] = await Promise.all([
          verdictOn(token, round % 2 === 0 ? here : there),
          later(() => signIn(here, key, body)),
          later(() => signIn(there, key, body)),
        ])
        const done = repeats.filter(({ status }) => status === 201)
        expect(used).toBe(200)
        // A repeat that came before the first use gave the same token.
        expect(new Set([token, ...done.map(tokenOf)])).toEqual(new Set([token]))
        expect((await signIn(here, key, body)).body.code).toBe('code_wrong')
        expect(await verdictOn(token, here)).toBe(200)
        expect(await sessionsOf(accountId)).toHaveLength(1)
      }
    })

    describe('step by step', () => {
      const opened: Domain[] = []
      let clock: ManualClock
      afterEach(async () => {
        for (const domain of opened.splice(0)) await domain.close()
      })

      async function open(watch?: Watcher): Promise<Domain> {
        const options = { databaseUrl: url, redisUrl: redis ? redisUrl() : null, clock }
        const domain = await openDomain({ ...options, ...(watch && { watch }) })
        opened.push(domain)
        return domain
      }

      interface Known {
        readonly accountId: string
        readonly phoneNumber: string
        readonly fingerprint: string
      }

      async function newAccount(): Promise<Known> {
        clock = new ManualClock(Date.UTC(2026, 10, 22))
        const { db } = await open()
        const accountId = await addAccount(db)
        const row = await db
          .selectFrom('hufu_accounts')
          .select('phone_number')
          .where('id', '=', accountId)
          .executeTakeFirstOrThrow()
        const phoneNumber = row.phone_number ?? expect.fail()
        const keyed = { key: newKey(), phoneNumber, method: 'code', device: phone, code: '123456' } as const
        return { accountId, phoneNumber, fingerprint: fingerprintOf(keyed) }
      }

      /** Signs in with a key, or repeats it; null where that sign-in has ended and the code is used up. */
      async function issue(domain: Domain, known: Known, isFirst = false): Promise<IssuedSession | null> {
        const { accountId, fingerprint } = known
        const admit = async (tx: Database) => {
          const account = await lockAccount(tx, accountId)
          if (!account) return null
          const repeats = await findRepeatable(tx, accountId, { fingerprint, since: 0 })
          const admission = { account, isNew: false, endOthers: null, events: [] }
          return repeats ? { ...admission, repeats } : isFirst ? admission : null
        }
        return await domain.sessions.issue({
          device: phone,
          origin: noOrigin,
          method: 'code',
          fingerprint,
          admit,
        })
      }

      const steps = ['mark', 'confirm', 'settle'] as const
      const cases = steps.flatMap((step) => [['a repeat', step] as const, ['a first use', step] as const])
      test.each(
        cases,
      )('%s that pauses before its %s does not change the decision of the other one', async (paused, step) => {
        const known = await newAccount()
        const reader = await open()
        const first = (await issue(reader, known, true)) ?? expect.fail()
        let arrive = () => {}
        let release = () => {}
        const arrived = new Promise<void>((resolve) => {
          arrive = resolve
        })
        const released = new Promise<void>((resolve) => {
          release = resolve
        })
        const slow = await open(async (name, work) => {
          if (name === step) {
            arrive()
            await released
          }
          return await work()
        })
        const other = await open()
        const use = async (domain: Domain) => (await domain.verification.verify(first.token)).is
        const slowly = paused === 'a repeat' ? issue(slow, known) : use(slow)
        await arrived
        const quickly = paused === 'a repeat' ? use(other) : issue(other, known)
        // While the other one holds the lock, it waits; after the commit it finishes before the other one has
        // settled.
        await Promise.race([quickly, new Promise((resolve) => setTimeout(resolve, 50))])
        release()
        const [a, b] = await Promise.all([slowly, quickly])
        const [repeated, used] = paused === 'a repeat' ? [a, b] : [b, a]
        // The one that had the lock first.
        expect(used).toBe(paused === 'a repeat' ? 'unknown' : 'live')
        const next = (repeated as IssuedSession | null)?.token ?? null
        expect(next === null).toBe(paused !== 'a repeat')
        await nextTurn()
        for (const domain of [reader, slow, other, await open()]) {
          expect((await domain.verification.verify(first.token)).is).toBe(used)
          if (next !== null) expect((await domain.verification.verify(next)).is).toBe('live')
        }
      })

      test.each(
        faults,
      )('a repeat whose server %s a step leaves one session and no token that two hold', async (fault) => {
        for (let n = 1; n < 60; n++) {
          const known = await newAccount()
          const reader = await open()
          const first = (await issue(reader, known, true)) ?? expect.fail()
          const cut = new Cut()
          const dying = await open(cut.watch)
          cut.arm(n, fault)
          const answer = await issue(dying, known).catch(() => null)
          if (cut.reached === null) {
            expect(n).toBeGreaterThan(5)
            return
          }
          // A transaction of a crashed process holds its lock until its connection closes.
          await dying.close().catch(() => {})
          opened.splice(opened.indexOf(dying), 1)
          const again = await issue(reader, known)
          await nextTurn()
          const tokens = [first.token, answer?.token, again?.token].filter((token) => token !== undefined)
          const verdicts = await Promise.all(
            tokens.map(async (token) => (await reader.verification.verify(token)).is),
          )
          expect({ step: cut.reached, live: verdicts.filter((is) => is === 'live').length }).toEqual({
            step: cut.reached,
            live: 1,
          })
          expect(verdicts.at(-1)).toBe('live')
          expect(await reader.sessions.list(known.accountId)).toHaveLength(1)
          await reader.close()
          opened.splice(opened.indexOf(reader), 1)
        }
        expect.fail('it never came to its end')
      })
    })
  })
}

describe('over HTTP', () => {
  let app: RunningApp
  let drop: () => Promise<void>
  beforeAll(async () => {
    const fresh = await (databases[0] ?? expect.fail()).create()
    drop = fresh.drop
    app = await startApp(fresh.url, { environment: { HUFU_LIMITS: 'on' } })
    await addPerson(app.services)
  })
  afterAll(async () => {
    await app?.close()
    await drop?.()
  })
  const body = { phone_number: person.phone, password: person.password }

  test.each([
    '',
    'short',
    'a'.repeat(21),
    'a'.repeat(23),
    `${'a'.repeat(21)}=`,
    `${'a'.repeat(21)} a`,
    '"q7tX1bK0Tn2mG4hJ8sLdZw"',
    'f81d4fae-7dec-11d0-a765-00a0c91e6bf6',
  ])('a key that is not 128 bits in base64url is refused: %s', async (key) => {
    expect(await signIn(app, key, body)).toMatchObject({
      status: 422,
      body: { code: 'invalid_request', fields: [{ pointer: '/idempotency-key', problem: 'has_wrong_form' }] },
    })
  })

  test('a repeat counts as an attempt, and is refused when attempts are', async () => {
    const key = newKey()
    const statuses: number[] = []
    for (let i = 0; i < 1000 && statuses.at(-1) !== 429; i++)
      statuses.push((await signIn(app, key, { ...body, password: `wrong ${i}` })).status)
    expect(statuses.at(-1)).toBe(429)
    expect(await signIn(app, key, body)).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
  })

  test('the key is for POST /v1/sessions only, and is nowhere stored as it is', async () => {
    const key = newKey()
    const login = () =>
      fetch(`${app.url}/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify({ phone_number: '13800005299', password: person.password }),
      })
    await addPerson(app.services, '13800005299')
    const tokens = [await login(), await login()].map(
      async (answer) => (await answer.json()) as { token: string },
    )
    const [first, second] = await Promise.all(tokens)
    expect(first?.token.slice(0, 25)).not.toBe(second?.token.slice(0, 25))
    await signIn(app, key, { ...body, phone_number: '13800005299' })
    for (const table of ['hufu_sessions', 'hufu_events', 'hufu_accounts'] as const)
      expect(JSON.stringify(await app.services.db.selectFrom(table).selectAll().execute())).not.toContain(key)
    expect(app.lines.join('')).not.toContain(key)
  })
})
