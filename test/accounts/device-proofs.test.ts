// Device proofs over HTTP: how a sign-in issues them, what they allow at the next one, and what ends them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import { deleteOldDeviceProofs, deviceProofsMax, hashDeviceProof } from '../../src/sessions/device-proofs.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { type Answer, ask, clientOf } from '../support/v1-calls.ts'

let last = 0
const newNumber = () => `+86138${String(20_000_000 + last++)}`
/** Each caller has a network of its own. */
let lastCaller = 0
const newCaller = () => `198.${18 + (lastCaller >> 8)}.${lastCaller++ & 255}.7`
const password = 'a good password of mine'

/** Sends a plain request, because the SDK chooses the device proof itself. */
async function post(app: RunningApp, path: string, body: object, from = newCaller()): Promise<Answer> {
  return await ask(app, 'POST', path, { headers: { 'x-forwarded-for': from }, body })
}

async function codeOut({ services }: RunningApp, phoneNumber: string, purpose: 'sign_in' | 'reset_password') {
  await services.codeSender.close()
  const row = await findCode(services.db, { phoneNumber, purpose })
  return row && codeOf(await getOrCreateKey(services.db), { phoneNumber, purpose, nonce: row.nonce })
}

const tokenOf = ({ body }: Answer) => String(body.token)
const idOf = ({ body }: Answer) => (body.session as { id: string }).id
const guess = (right: string | null) => (right === '000000' ? '000001' : '000000')

describe.each(databases)('$name', ({ create, skipped }) => {
  let app: RunningApp
  let drop: () => Promise<void>

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await create()
    drop = fresh.drop
    app = await startApp(fresh.url, {
      environment: {
        HUFU_LIMITS: 'on',
        HUFU_TRUSTED_PROXIES: '127.0.0.1',
        HUFU_SESSION_SCOPE: 'account',
        HUFU_SESSION_MAX: '50',
      },
    })
  })
  afterAll(async () => {
    await app?.close()
    await drop?.()
  })
  const usable = test.skipIf(skipped !== null)

  /** An app on a network of its own. */
  const stranger = () => clientOf(app, { from: newCaller() })

  async function addPerson(): Promise<{ phone: string; id: string }> {
    const phone = newNumber()
    const { id } = await app.services.accounts.create({ phoneNumber: phone, nickname: null, password })
    return { phone, id }
  }

  async function signIn(phone: string, more: object = {}): Promise<Answer> {
    return await post(app, '/v1/sessions', { phone_number: phone, password, ...more })
  }

  async function proofOf(phone: string, more: object = {}): Promise<string> {
    return String((await signIn(phone, more)).body.device_proof)
  }

  const isGood = async (phoneNumber: string, proof: string) =>
    (await app.services.db
      .selectFrom('hufu_device_proofs')
      .select('proof_hash')
      .where('phone_number', '=', phoneNumber)
      .where('proof_hash', '=', hashDeviceProof(proof))
      .executeTakeFirst()) !== undefined

  /** Wrong passwords from enough networks to leave the number no attempts for callers without a proof. */
  async function attackPassword(phone: string): Promise<void> {
    for (let i = 0; i < 15; i++)
      expect(await stranger().signIn({ phoneNumber: phone, password: 'wrong' })).toMatchObject({
        status: 401,
      })
  }

  usable('a sign-in issues a random proof, stored as its hash alone; a valid one is kept', async () => {
    const { phone } = await addPerson()
    const first = await signIn(phone)
    expect(first.body.device_proof).toMatch(/^hp_[\w-]{43}$/)
    const proof = String(first.body.device_proof)
    const again = await signIn(phone, { device_proof: proof })
    expect(again.status).toBe(201)
    expect(again.body).not.toHaveProperty('device_proof')
    expect(await proofOf(phone)).not.toBe(proof)
    expect(await proofOf(phone, { device_proof: `hp_${'x'.repeat(43)}` })).toMatch(/^hp_/)
    const rows = await app.services.db.selectFrom('hufu_device_proofs').selectAll().execute()
    expect(JSON.stringify(rows)).not.toContain(proof.slice(3))
    expect(await isGood(phone, proof)).toBe(true)
  })

  usable('wrong passwords of a botnet keep only callers without a proof out', async () => {
    const [{ phone }, other] = [await addPerson(), await addPerson()]
    const [proof, foreign] = [await proofOf(phone), await proofOf(other.phone)]
    await attackPassword(phone)
    const refused = { status: 401, body: { code: 'credentials_wrong' } }
    expect(await signIn(phone)).toMatchObject(refused)
    expect(await signIn(phone, { device_proof: foreign })).toMatchObject(refused)
    expect(await signIn(phone, { device_proof: `${proof}x` })).toMatchObject(refused)
    expect(await signIn(phone, { device_proof: proof })).toMatchObject({ status: 201 })
  })

  usable('a proof is bound to the device id where both requests had one', async () => {
    const { phone } = await addPerson()
    const proof = await proofOf(phone, { device: { platform: 'ios', id: 'install-1' } })
    await attackPassword(phone)
    const elsewhere = { device_proof: proof, device: { platform: 'ios', id: 'install-2' } }
    expect(await signIn(phone, elsewhere)).toMatchObject({ status: 401 })
    expect(await signIn(phone, { device_proof: proof })).toMatchObject({ status: 201 })
  })

  usable('a stolen proof has a limited number of guesses', async () => {
    const { phone } = await addPerson()
    const proof = await proofOf(phone)
    const statuses: number[] = []
    for (let i = 0; i < 6; i++) {
      const body = { phone_number: phone, password: 'wrong', device_proof: proof }
      statuses.push((await post(app, '/v1/sessions', body)).status)
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429])
  })

  usable(
    'one proof opens a limited number of right sign-ins, and after that no other number has fewer',
    async () => {
      const [{ phone }, other] = [await addPerson(), await addPerson()]
      const [proof, otherProof] = [await proofOf(phone), await proofOf(other.phone)]
      for (let i = 0; i < 100; i++)
        expect(await signIn(phone, { device_proof: proof })).toMatchObject({ status: 201 })
      // Counted like a caller without a proof, from an address of its own.
      expect(await signIn(phone, { device_proof: proof })).toMatchObject({ status: 201 })
      await attackPassword(phone)
      expect(await signIn(phone, { device_proof: proof })).toMatchObject({ status: 401 })
      await attackPassword(other.phone)
      expect(await signIn(other.phone, { device_proof: otherProof })).toMatchObject({ status: 201 })
    },
  )

  usable('an address that is out of attempts still accepts a proof', async () => {
    const { phone } = await addPerson()
    const [proof, nat] = [await proofOf(phone), newCaller()]
    const tap = (body: object) => post(app, '/v1/codes', { purpose: 'sign_in', ...body }, nat)
    const other = newNumber()
    for (let i = 0; i < 122; i++) await tap({ phone_number: other })
    expect(await tap({ phone_number: phone })).toMatchObject({ status: 429 })
    expect(await tap({ phone_number: phone, device_proof: proof })).toMatchObject({ status: 202 })
  })

  usable('a botnet that uses up the messages of a number leaves some for its owner', async () => {
    const { phone } = await addPerson()
    const proof = await proofOf(phone)
    const before = await sentTo(phone)
    for (let i = 0; i < 20; i++) {
      const input = { phoneNumber: phone, purpose: 'sign_in' } as const
      expect(await stranger().sendCode(input)).toMatchObject({ status: 202, body: { resend_in: 60 } })
    }
    expect((await sentTo(phone)) - before).toBe(1)
    const mine = await post(app, '/v1/codes', {
      phone_number: phone,
      purpose: 'sign_in',
      device_proof: proof,
    })
    expect(mine).toMatchObject({ status: 202, body: { resend_in: 60 } })
    expect((await sentTo(phone)) - before).toBe(2)
  })

  async function sentTo(phoneNumber: string): Promise<number> {
    await app.services.codeSender.close()
    const rows = await app.services.db
      .selectFrom('hufu_events')
      .select('id')
      .where('kind', '=', 'code_sent')
      .where('phone_number', '=', phoneNumber)
      .execute()
    return rows.length
  }

  usable('without a proof, an owner under attack needs two codes', async () => {
    const { phone } = await addPerson()
    const mine = newCaller()
    const enter = async () => {
      await clientOf(app, { from: mine }).sendCode({ phoneNumber: phone, purpose: 'sign_in' })
      const right = await codeOut(app, phone, 'sign_in')
      for (let i = 0; i < 8; i++)
        expect(await stranger().signIn({ phoneNumber: phone, code: guess(right) })).toMatchObject({
          status: 401,
          body: { code: 'code_wrong' },
        })
      return await clientOf(app, { from: mine }).signIn({ phoneNumber: phone, code: right ?? '' })
    }
    expect(await enter()).toMatchObject({ status: 401, body: { code: 'code_wrong' } })
    app.clock.advance(120_000)
    expect(await enter()).toMatchObject({ status: 201 })
  })

  usable('with a proof, the first code is enough, also to reset a password', async () => {
    const { phone } = await addPerson()
    for (const purpose of ['reset_password', 'sign_in'] as const) {
      const proof = await proofOf(phone, purpose === 'sign_in' ? { password: 'another good password' } : {})
      await post(app, '/v1/codes', { phone_number: phone, purpose, device_proof: proof })
      const right = await codeOut(app, phone, purpose)
      const path = purpose === 'sign_in' ? '/v1/sessions' : '/v1/password-resets'
      const more = purpose === 'sign_in' ? {} : { new_password: 'another good password' }
      for (let i = 0; i < 8; i++) await post(app, path, { phone_number: phone, code: guess(right), ...more })
      const body = { phone_number: phone, code: right, device_proof: proof, ...more }
      expect([201, 204]).toContain((await post(app, path, body)).status)
      app.clock.advance(120_000)
    }
  })

  usable('a reset ends every proof, removing a device ends its own, and signing out ends none', async () => {
    const { phone } = await addPerson()
    const [mine, thief] = [await signIn(phone), await signIn(phone)]
    const [proof, stolen] = [String(mine.body.device_proof), String(thief.body.device_proof)]
    expect((await clientOf(app).endDevice(tokenOf(mine), idOf(thief))).status).toBe(204)
    expect(await isGood(phone, stolen)).toBe(false)
    expect((await clientOf(app).signOut(tokenOf(mine))).status).toBe(204)
    expect(await isGood(phone, proof)).toBe(true)

    await stranger().sendCode({ phoneNumber: phone, purpose: 'reset_password' })
    const code = (await codeOut(app, phone, 'reset_password')) ?? ''
    const reset = { phoneNumber: phone, code, newPassword: 'another good password' }
    expect((await stranger().resetPassword(reset)).status).toBe(204)
    expect(await isGood(phone, proof)).toBe(false)
  })

  usable('removing all other devices also ends the proofs of signed-out devices', async () => {
    const { phone } = await addPerson()
    const [mine, thief] = [await signIn(phone), await signIn(phone)]
    expect((await clientOf(app).signOut(tokenOf(thief))).status).toBe(204)
    expect((await clientOf(app).endOtherDevices(tokenOf(mine))).status).toBe(204)
    expect(await isGood(phone, String(thief.body.device_proof))).toBe(false)
    expect(await isGood(phone, String(mine.body.device_proof))).toBe(true)
  })

  usable(
    'removing a device ends its earlier proofs too, those of sessions that no list shows any more',
    async () => {
      const { phone } = await addPerson()
      const mine = await signIn(phone)
      const earlier = await signIn(phone)
      expect((await clientOf(app).signOut(tokenOf(earlier))).status).toBe(204)
      const [thief, other] = [await signIn(phone), await signIn(phone)]
      expect((await clientOf(app).endDevice(tokenOf(mine), idOf(thief))).status).toBe(204)
      expect(await isGood(phone, String(thief.body.device_proof))).toBe(false)
      expect(await isGood(phone, String(earlier.body.device_proof))).toBe(false)
      expect(await isGood(phone, String(mine.body.device_proof))).toBe(true)
      expect(await isGood(phone, String(other.body.device_proof))).toBe(true)
      // It signs out before it is removed: the answer is still that the device is signed out.
      const late = await signIn(phone)
      expect((await clientOf(app).signOut(tokenOf(late))).status).toBe(204)
      expect((await clientOf(app).endDevice(tokenOf(mine), idOf(late))).status).toBe(204)
      expect(await isGood(phone, String(late.body.device_proof))).toBe(false)
      expect(await isGood(phone, String(mine.body.device_proof))).toBe(true)
    },
  )

  usable('the holder of a stolen token cannot keep the owner from changing the password', async () => {
    const { phone } = await addPerson()
    const [mine, thief] = [await signIn(phone), await signIn(phone)]
    const change = async (session: Answer, currentPassword: string) => {
      const input = { newPassword: 'another good password', currentPassword }
      return (await stranger().setPassword(tokenOf(session), input)).status
    }
    const statuses = new Set<number>()
    for (let i = 0; i < 120; i++) {
      statuses.add(await change(thief, 'wrong'))
      app.clock.advance(120_000)
    }
    expect([...statuses].toSorted()).toEqual([401, 429])
    expect(await change(mine, password)).toBe(204)
  })

  usable('a ban ends the proofs, and so does the end of the account', async () => {
    const { phone, id } = await addPerson()
    const proof = await proofOf(phone)
    await app.services.lifecycle.ban(id, { until: null, reason: null })
    expect(await isGood(phone, proof)).toBe(false)
    const gone = await addPerson()
    const last = await proofOf(gone.phone)
    await app.services.db.deleteFrom('hufu_accounts').where('id', '=', gone.id).execute()
    expect(await isGood(gone.phone, last)).toBe(false)
  })

  usable(
    'an account has at most ten proofs, and a client that keeps none does not displace others',
    async () => {
      const { phone, id } = await addPerson()
      const kept = await proofOf(phone)
      app.clock.advance(1_000)
      await signIn(phone, { device_proof: kept })
      for (let i = 0; i < 15; i++) {
        app.clock.advance(1_000)
        await signIn(phone)
      }
      const rows = await app.services.db
        .selectFrom('hufu_device_proofs')
        .select('proof_hash')
        .where('account_id', '=', id)
        .execute()
      expect(rows).toHaveLength(deviceProofsMax)
      expect(await isGood(phone, kept)).toBe(true)
    },
  )

  usable('a proof that no sign-in used for 400 days is removed', async () => {
    const { phone } = await addPerson()
    const proof = await proofOf(phone)
    const later = app.clock.now() + 401 * 86_400_000
    expect(await deleteOldDeviceProofs(app.services.db, later - 2 * 86_400_000, 500)).toBe(0)
    expect(await deleteOldDeviceProofs(app.services.db, later, 500)).toBeGreaterThan(0)
    expect(await isGood(phone, proof)).toBe(false)
  })

  usable('the classic API returns a proof in a header to a client that requests it', async () => {
    const { phone } = await addPerson()
    const login = async (header: Record<string, string>) => {
      const answer = await fetch(`${app.url}/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': newCaller(), ...header },
        body: JSON.stringify({ phone_number: phone, password }),
      })
      const body = (await answer.json()) as { code: number }
      return { code: body.code, proof: answer.headers.get('hufu-device-proof') }
    }
    expect(await login({})).toEqual({ code: 1, proof: null })
    const { proof } = await login({ 'hufu-device-proof': 'new' })
    expect(proof).toMatch(/^hp_/)
    await attackPassword(phone)
    expect(await login({})).toEqual({ code: 0, proof: null })
    expect(await login({ 'hufu-device-proof': String(proof) })).toEqual({ code: 1, proof: null })
  })
})
