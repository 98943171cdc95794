// Codes with an operator's settings: sent by a gateway, limited, with test numbers for app store reviewers,
// and with sign-up closed.
import { describe, expect, test } from 'vitest'
import type { CodePurpose } from '../../sdk/src/client.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import { addPerson, person, type RunningApp } from '../support/app.ts'
import { SmsApps } from '../support/sms-app.ts'
import { ask, clientOf } from '../support/v1-calls.ts'

const phone = '+8613800005223'
const apps = new SmsApps()

const start = (environment?: Record<string, string>) => apps.start(environment)

const askFor = (app: RunningApp, purpose: CodePurpose, phoneNumber = phone) =>
  clientOf(app).sendCode({ phoneNumber, purpose })

/** The same call from another address; needs HUFU_TRUSTED_PROXIES. */
const askFrom = (app: RunningApp, from: string, phoneNumber: string, purpose: CodePurpose = 'sign_in') =>
  clientOf(app, { from }).sendCode({ phoneNumber, purpose })

/** The code in the last message that the gateway accepted. */
function sentCode(): string {
  return (
    /\d{6}/.exec(JSON.stringify(apps.gateway.taken.at(-1)?.content))?.[0] ?? expect.fail('nothing was sent')
  )
}

async function eventKinds({ services }: RunningApp): Promise<string[]> {
  const kinds: string[] = []
  const account = await services.accounts.find(phone)
  for await (const { kind } of services.accounts.listEvents({ id: account?.id ?? null, phoneNumber: phone }))
    kinds.push(kind)
  return kinds
}

test('the message to the gateway contains a code that signs up', async () => {
  const app = await start()
  expect((await askFor(app, 'sign_in')).status).toBe(202)
  expect(apps.gateway.taken).toMatchObject([{ to: phone }])
  const signedUp = await clientOf(app).signIn({ phoneNumber: phone, code: sentCode() })
  expect(signedUp).toMatchObject({ status: 201, body: { created: true } })
  expect(await eventKinds(app)).toEqual(expect.arrayContaining(['code_sent', 'signed_in']))
  expect(app.lines.join('')).not.toContain(sentCode())
})

test('every route accepts a code and a number however they were typed or pasted', async () => {
  const app = await start()
  const client = clientOf(app)
  const wide = (text: string) =>
    text.replace(/[+0-9]/g, (sign) => String.fromCodePoint((sign.codePointAt(0) ?? 0) + 0xfee0))
  const pasted = `\u202d${wide(phone)}\u202c\n`
  /** Requests a code for a spelling of the number, and returns it in the way a person may type it. */
  const codeFor = async (purpose: CodePurpose, number = pasted) => {
    expect((await askFor(app, purpose, number)).status).toBe(202)
    await app.services.codeSender.close()
    const code = sentCode()
    return `\u200b${wide(code.slice(0, 3))} ${code.slice(3)} `
  }
  const signIn = async (number: string) => {
    const code = await codeFor('sign_in', number)
    const answer = await client.signIn({ phoneNumber: number, code })
    expect(answer).toMatchObject({ status: 201 })
    return { token: String(answer.body.token), created: answer.body.created }
  }
  const { token } = await signIn(pasted)
  const newPassword = 'correct horse battery'
  const password = { newPassword, code: await codeFor('confirm') }
  expect((await client.setPassword(token, password)).status).toBe(204)
  const reset = { phoneNumber: pasted, code: await codeFor('reset_password'), newPassword }
  expect((await client.resetPassword(reset)).status).toBe(204)
  const again = await signIn('(+86)138-0000-5223')
  expect(again.created).toBe(false)
  const phoneNumber = '139 0000 5224\u00a0'
  const code = await codeFor('change_phone', phoneNumber)
  const confirmation = { code: await codeFor('confirm') }
  const moved = await client.changePhone(again.token, { phoneNumber, code, confirmation })
  expect(moved.status).toBe(200)
  const closing = await codeFor('close_account', phoneNumber)
  expect((await client.closeAccount(again.token, closing)).status).toBe(202)
})

test.each(['12345', '1234567', '12345a', '１２３４５', '٠١٢٣٤٥', ''])('%j is no code', async (code) => {
  const app = await start()
  const refused = await ask(app, 'POST', '/v1/sessions', { body: { phone_number: phone, code } })
  expect(refused).toMatchObject({
    status: 422,
    body: { code: 'invalid_request', fields: [{ pointer: '/code', problem: 'has_wrong_form' }] },
  })
})

test('a number outside every numbering plan is refused with advice in the language of the client', async () => {
  const app = await start()
  const answerIn = async (language: string) => {
    const input = { phoneNumber: '2025550123', purpose: 'sign_in' } as const
    return (await clientOf(app, { language }).sendCode(input)).body
  }
  const fields = [{ pointer: '/phone_number', problem: 'has_no_country_code' }]
  expect(await answerIn('en')).toMatchObject({
    detail: expect.stringMatching(/China.*landline.*\+ and its code/),
    fields,
  })
  expect(await answerIn('zh-CN')).toMatchObject({
    detail: expect.stringMatching(/不是中国的手机号.*座机号.*\+ 和国家代码/),
    fields,
  })
})

test('numbers that get no codes are refused before anything is counted, with and without an account', async () => {
  const app = await start({ HUFU_LIMITS: 'on' })
  const refused: Record<string, string> = {
    '0755-8123-4567': 'phone_number_not_mobile',
    [person.phone]: 'phone_number_not_mobile',
    '+881612345678': 'country_not_served',
    '+8821612345678': 'country_not_served',
    '+883510001234567': 'country_not_served',
    '+12025550123': 'country_not_served',
  }
  const answerFor = async (number: string, purpose: CodePurpose) => {
    const { status, body } = await askFor(app, purpose, number)
    return { status, ...body, request_id: null }
  }
  const all = async () => {
    const answers: Record<string, object> = {}
    for (const [number, code] of Object.entries(refused))
      for (const purpose of ['sign_in', 'reset_password', 'change_phone'] as const) {
        if (code === 'phone_number_not_mobile' && purpose === 'reset_password') continue
        answers[`${purpose} ${number}`] = await answerFor(number, purpose)
      }
    return answers
  }
  const without = await all()
  for (const [name, answer] of Object.entries(without))
    expect(answer, name).toMatchObject({ status: 422, code: refused[name.split(' ')[1] ?? ''] })
  for (const number of Object.keys(refused)) await addPerson(app.services, number)
  expect(await all()).toEqual(without)
  expect(apps.gateway.requests).toEqual([])
  // After 28 refusals from one address, all five codes in ten minutes are still available.
  expect((await askFor(app, 'sign_in')).status).toBe(202)
})

test('an account whose number is no mobile number keeps its password, and its owner gets codes', async () => {
  const app = await start()
  await addPerson(app.services)
  const signedIn = await clientOf(app).signIn({ phoneNumber: person.phone, password: person.password })
  expect(signedIn.status).toBe(201)
  const unknown = await askFor(app, 'reset_password', '12345678902')
  const known = await askFor(app, 'reset_password', person.phone)
  expect(known).toMatchObject({ status: 202, body: unknown.body })
  await app.services.codeSender.close()
  expect(apps.gateway.taken).toMatchObject([{ to: '+8612345678901' }])
  const reset = { phoneNumber: person.phone, code: sentCode(), newPassword: 'correct horse battery' }
  expect((await clientOf(app).resetPassword(reset)).status).toBe(204)
})

test('the operator chooses the countries that get codes, and the answer names them', async () => {
  const app = await start({ HUFU_SMS_COUNTRIES: 'CN,HK=200' })
  expect((await askFor(app, 'sign_in', '+85291234567')).status).toBe(202)
  const refused = await askFor(app, 'sign_in', '+12025550123')
  expect(refused).toMatchObject({
    status: 422,
    body: {
      code: 'country_not_served',
      detail: 'Codes go to: China, Hong Kong SAR China.',
      fields: [{ pointer: '/phone_number', problem: 'is_not_served' }],
    },
  })
})

test('a country has its own budget, which does not affect the others', async () => {
  const app = await start({
    HUFU_LIMITS: 'on',
    HUFU_SMS_COUNTRIES: 'CN,HK=2,MO',
    HUFU_SMS_DAILY_BUDGET: '10',
  })
  const statuses = async (...numbers: string[]) => {
    const answers: number[] = []
    for (const number of numbers) {
      answers.push((await askFor(app, 'sign_in', number)).status)
      app.clock.advance(300_000)
    }
    return answers
  }
  expect(await statuses('+85291234567', '+85291234568', '+85291234569')).toEqual([202, 202, 429])
  // Macao has a tenth of the budget of ten.
  expect(await statuses('+85366123456', '+85366123457')).toEqual([202, 429])
  expect(await statuses('13800005223', '13900005224')).toEqual([202, 202])
  app.clock.advance(86_400_000)
  expect(await statuses('+85291234569')).toEqual([202])
})

test('the rest of the budget of a country is the same with and without an account', async () => {
  const app = await start({ HUFU_LIMITS: 'on', HUFU_SMS_COUNTRIES: 'CN,HK=1' })
  await addPerson(app.services, '+85291234568')
  expect((await askFor(app, 'sign_in', '+85291234567')).status).toBe(202)
  const unknown = await askFor(app, 'sign_in', '+85291234569')
  expect(unknown).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
  expect(unknown.headers.get('retry-after')).toBe('600')
  const known = await askFor(app, 'sign_in', '+85291234568')
  const { request_id: _one, ...same } = known.body
  expect(unknown.body).toMatchObject(same)
  app.clock.advance(60_000)
  expect((await askFor(app, 'reset_password', '+85291234568')).status).toBe(202)
  await app.services.codeSender.close()
  expect(apps.gateway.taken).toHaveLength(1)
})

test('a test number needs no plan and no country', async () => {
  const environment = { HUFU_TEST_NUMBERS: '+881612345678=246810', HUFU_TEST_NUMBERS_UNTIL: '2026-11-23' }
  const app = await start(environment)
  expect((await askFor(app, 'sign_in', '+881612345678')).status).toBe(202)
  app.clock.advance(2 * 86_400_000)
  expect(await askFor(app, 'sign_in', '+881612345678')).toMatchObject({
    body: { code: 'country_not_served' },
  })
})

test('a gateway that refuses or fails is answered 503 for a sign-in, and logged', async () => {
  const app = await start()
  apps.gateway.behaviour = { fault: 'server_error' }
  const refused = await askFor(app, 'sign_in')
  expect(refused).toMatchObject({ status: 503, body: { code: 'code_not_sent' } })
  expect(await eventKinds(app)).toEqual(['code_not_sent'])
  apps.gateway.behaviour = 'take'
  expect((await askFor(app, 'sign_in')).status).toBe(202)
  expect((await clientOf(app).signIn({ phoneNumber: phone, code: sentCode() })).status).toBe(201)
})

test('where an account decides whether a message is sent, the gateway does not change the answer', async () => {
  const app = await start()
  await addPerson(app.services, phone)
  const [known, unknown] = [
    await askFor(app, 'reset_password'),
    await askFor(app, 'reset_password', '13900005224'),
  ]
  expect([known.status, unknown.status]).toEqual([202, 202])
  expect(unknown.body).toEqual(known.body)
  await app.services.codeSender.close()
  expect(apps.gateway.taken.map(({ to }) => to)).toEqual([phone])
  apps.gateway.behaviour = { fault: 'server_error' }
  expect((await askFor(app, 'confirm')).status).toBe(202)
  await app.services.codeSender.close()
  expect(await eventKinds(app)).toContain('code_not_sent')
})

test('the old number is notified when an account moves, without the whole new number', async () => {
  const app = await start()
  await askFor(app, 'sign_in')
  const { body } = await clientOf(app).signIn({ phoneNumber: phone, code: sentCode() })
  const token = String(body.token)
  await askFor(app, 'confirm')
  await app.services.codeSender.close()
  const confirm = sentCode()
  await askFor(app, 'change_phone', '13900005224')
  const change = { phoneNumber: '13900005224', code: sentCode(), confirmation: { code: confirm } }
  const moved = await clientOf(app).changePhone(token, change)
  expect(moved.status).toBe(200)
  await expect.poll(() => apps.gateway.taken.at(-1)?.to).toBe(phone)
  expect(JSON.stringify(apps.gateway.taken.at(-1))).toMatch(/139\*\*\*\*5224/)
})

test('numbers for reviewers have their code until the end of the day, and get no message', async () => {
  const environment = { HUFU_TEST_NUMBERS: `${phone}=246810`, HUFU_TEST_NUMBERS_UNTIL: '2026-11-23' }
  const app = await start(environment)
  const signIn = () => clientOf(app).signIn({ phoneNumber: phone, code: '246810' })
  expect((await signIn()).status).toBe(401)
  await askFor(app, 'sign_in')
  expect((await signIn()).status).toBe(201)
  app.clock.advance(2 * 86_400_000)
  expect(apps.gateway.taken).toEqual([])
  await askFor(app, 'sign_in')
  expect(apps.gateway.taken).toHaveLength(1)
  if (sentCode() !== '246810') expect((await signIn()).status).toBe(401)
})

test('with sign-up closed, a number without an account gets no message and no account, and the answers are the same', async () => {
  const app = await start({ HUFU_SIGN_UP: 'closed' })
  await addPerson(app.services)
  const [unknown, known] = [await askFor(app, 'sign_in'), await askFor(app, 'sign_in', person.phone)]
  expect(unknown).toMatchObject({ status: 202, body: known.body })
  await app.services.codeSender.close()
  expect(apps.gateway.taken.map(({ to }) => to)).toEqual(['+8612345678901'])
  expect((await clientOf(app).signIn({ phoneNumber: person.phone, code: sentCode() })).status).toBe(201)
  expect(await app.services.accounts.find(phone)).toBeNull()
})

test('with sign-up closed, a code for a new number goes to a number without an account', async () => {
  const app = await start({ HUFU_SIGN_UP: 'closed' })
  await addPerson(app.services)
  const { body } = await clientOf(app).signIn({ phoneNumber: person.phone, password: person.password })
  expect((await askFor(app, 'change_phone')).status).toBe(202)
  const change = { phoneNumber: phone, code: sentCode(), confirmation: { password: person.password } }
  expect((await clientOf(app).changePhone(String(body.token), change)).status).toBe(200)
})

test('the countdown follows the limits, and a client that does not wait learns how long', async () => {
  const app = await start({ HUFU_LIMITS: 'on' })
  expect(await askFor(app, 'sign_in')).toMatchObject({
    status: 202,
    body: { resend_in: 60, expires_in: 300 },
  })
  const again = await askFor(app, 'sign_in')
  expect(again).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
  expect(again.headers.get('retry-after')).toBe('60')
  expect(apps.gateway.taken).toHaveLength(1)
  app.clock.advance(60_000)
  expect(await askFor(app, 'sign_in')).toMatchObject({
    status: 202,
    body: { resend_in: 120, expires_in: 300 },
  })
  const [first, second] = apps.gateway.taken.map(({ content }) => /\d{6}/.exec(JSON.stringify(content))?.[0])
  expect(second).toBe(first)
})

describe('the cost of a message that was not sent', () => {
  const behindProxy = { HUFU_LIMITS: 'on', HUFU_TRUSTED_PROXIES: '127.0.0.1' }
  const number = (i: number) => `1380000${5000 + i * 7}`

  test('a gateway without funds uses up neither the budget nor the limit of the caller', async () => {
    const app = await start({ ...behindProxy, HUFU_SMS_DAILY_BUDGET: '3' })
    apps.gateway.behaviour = { refuse: 'out_of_funds' }
    for (let i = 0; i < 6; i++) {
      const refused = await askFrom(app, '203.0.113.7', number(0))
      expect(refused).toMatchObject({ status: 503, body: { code: 'code_not_sent' } })
      expect(refused.headers.get('retry-after')).toBe('30')
      app.clock.advance(30_000)
    }
    expect(apps.gateway.requests).toHaveLength(6)
    apps.gateway.behaviour = 'take'
    expect((await askFrom(app, '203.0.113.7', number(0))).status).toBe(202)
    expect(apps.gateway.taken).toHaveLength(1)
  })

  test('a gateway that refuses everything is not called for 30 s, and nothing is counted or written', async () => {
    const app = await start(behindProxy)
    apps.gateway.behaviour = { refuse: 'misconfigured' }
    await askFrom(app, '203.0.113.7', number(0))
    app.clock.advance(10_000)
    for (let i = 1; i < 9; i++) {
      const refused = await askFrom(app, '203.0.113.7', number(i))
      expect(refused).toMatchObject({ status: 503, body: { code: 'code_not_sent' } })
      expect(refused.headers.get('retry-after')).toBe('20')
    }
    expect(apps.gateway.requests).toHaveLength(1)
    app.clock.advance(20_000)
    apps.gateway.behaviour = 'take'
    expect((await askFrom(app, '203.0.113.7', number(0))).status).toBe(202)
  })

  test('a refusal because of the number counts for the caller, and neither for the number nor the budget', async () => {
    const app = await start({ ...behindProxy, HUFU_SMS_DAILY_BUDGET: '1' })
    apps.gateway.behaviour = { refuse: 'number_blocked' }
    const statuses: number[] = []
    for (let i = 0; i < 7; i++) statuses.push((await askFrom(app, '203.0.113.7', number(i))).status)
    expect(statuses).toEqual([503, 503, 503, 503, 503, 429, 429])
    expect(apps.gateway.requests).toHaveLength(5)
    apps.gateway.behaviour = 'take'
    expect((await askFrom(app, '198.51.100.7', number(0))).status).toBe(202)
    expect(apps.gateway.taken).toHaveLength(1)
  })

  test('a message of unknown outcome is counted, and never sent twice', async () => {
    const app = await start({ ...behindProxy, HUFU_SMS_DAILY_BUDGET: '1' })
    apps.gateway.behaviour = { fault: 'breaks_the_connection' }
    expect((await askFrom(app, '203.0.113.7', number(0))).status).toBe(503)
    apps.gateway.behaviour = 'take'
    expect((await askFrom(app, '198.51.100.7', number(1))).status).toBe(429)
    expect(apps.gateway.requests).toHaveLength(1)
  })

  test('an owner whose message was not sent can get another one', async () => {
    const app = await start({ ...behindProxy, HUFU_SMS_DAILY_BUDGET: '1' })
    await addPerson(app.services, phone)
    apps.gateway.behaviour = { refuse: 'out_of_funds' }
    await askFrom(app, '203.0.113.7', phone, 'reset_password')
    await app.services.codeSender.close()
    apps.gateway.behaviour = 'take'
    app.clock.advance(60_000)
    expect((await askFrom(app, '203.0.113.7', phone, 'reset_password')).status).toBe(202)
    await app.services.codeSender.close()
    expect(apps.gateway.taken).toHaveLength(1)
  })
})

describe('a caller that requests a code for the number of another person', () => {
  const environment = { HUFU_LIMITS: 'on', HUFU_TRUSTED_PROXIES: '127.0.0.1' }
  const [owner, stranger] = ['203.0.113.7', '198.51.100.7']

  async function answerOf(app: RunningApp, number: string, purpose: string): Promise<string> {
    const { status, body, headers } = await ask(app, 'POST', '/v1/codes', {
      headers: { 'x-forwarded-for': stranger, 'x-request-id': 'r' },
      body: { phone_number: number, purpose },
    })
    // Node's own clock writes this header: two responses may be on two sides of a second.
    const { date: _, ...others } = Object.fromEntries(headers)
    return JSON.stringify({ status, body, ...others })
  }

  test.each([
    'sign_in',
    'change_phone',
    'reset_password',
  ] as const)('cannot tell by a byte of %s whether the owner of the number has just asked', async (purpose) => {
    const app = await start(environment)
    const [quiet, busy] = ['+8613800005223', '+8613900005224']
    for (const number of [quiet, busy]) await addPerson(app.services, number)
    expect((await askFrom(app, owner, busy, purpose)).status).toBe(202)
    await app.services.codeSender.close()
    app.clock.advance(20_000)
    for (let i = 0; i < 3; i++) {
      const answers = [await answerOf(app, quiet, purpose), await answerOf(app, busy, purpose)]
      expect(answers[1]).toBe(answers[0])
      await app.services.codeSender.close()
      app.clock.advance(i === 1 ? 120_000 : 1_000)
    }
  })

  test.each([
    ['sign_in', 'number_invalid'],
    ['sign_in', 'number_blocked'],
    ['change_phone', 'number_blocked'],
  ] as const)('cannot tell by a code for %s that fails (%s) whether a number has an account, where the range is used up', async (purpose, refuse) => {
    const app = await start({ ...environment, HUFU_LIMIT_CODES_PER_PREFIX: '5/10m' })
    const [known, unknown] = ['+8613800005223', '+8613800005224']
    await addPerson(app.services, known)
    const fill = async (i: number) => await askFrom(app, `192.0.2.${i}`, `138000060${10 + i}`, purpose)
    for (let i = 1; i < 5; i++) expect((await fill(i)).status).toBe(202)
    apps.gateway.behaviour = { refuse }
    // Until then, both show the failure.
    expect((await askFrom(app, '192.0.2.10', known, purpose)).status).toBeGreaterThan(400)
    app.clock.advance(60_000)
    apps.gateway.behaviour = 'take'
    expect((await fill(6)).status).toBe(202)
    apps.gateway.behaviour = { refuse }
    const calls = apps.gateway.requests.length
    const answers = [await answerOf(app, known, purpose), await answerOf(app, unknown, purpose)]
    expect(apps.gateway.requests).toHaveLength(calls + 1)
    expect(JSON.parse(answers[0] ?? '')).toMatchObject({ status: 202 })
    expect(answers[1]).toBe(answers[0])
  })

  test('sends no second message, and the pending code stays valid as long as the answer says', async () => {
    const app = await start(environment)
    await askFrom(app, owner, phone)
    const code = sentCode()
    app.clock.advance(50_000)
    const answer = await askFrom(app, stranger, phone)
    expect(answer).toMatchObject({ status: 202, body: { resend_in: 60, expires_in: 300 } })
    expect(apps.gateway.taken).toHaveLength(1)
    expect(await eventKinds(app)).toEqual(['code_not_sent', 'code_sent'])
    app.clock.advance(299_999)
    expect((await clientOf(app).signIn({ phoneNumber: phone, code })).status).toBe(201)
  })

  test('cannot extend the validity of a code beyond ten minutes', async () => {
    const app = await start({ ...environment, HUFU_LIMITS: 'on' })
    await askFrom(app, owner, phone)
    const code = sentCode()
    for (let i = 0; i < 12; i++) {
      await askFrom(app, `198.51.100.${i}`, phone)
      app.clock.advance(50_000)
    }
    expect((await clientOf(app).signIn({ phoneNumber: phone, code })).status).toBe(401)
  })

  test('creates no code where none is sent', async () => {
    const app = await start(environment)
    await askFrom(app, stranger, phone, 'reset_password')
    await app.services.codeSender.close()
    expect(apps.gateway.requests).toEqual([])
    expect(await eventKinds(app)).toEqual(['code_not_sent'])
    const row = await findCode(app.services.db, { phoneNumber: phone, purpose: 'reset_password' })
    expect(row).toMatchObject({ usedAt: app.clock.now() })
    // If it had been created, a later request would get a valid one.
    await addPerson(app.services, phone)
    app.clock.advance(60_000)
    await askFrom(app, owner, phone, 'reset_password')
    await app.services.codeSender.close()
    const reset = { phoneNumber: phone, code: sentCode(), newPassword: 'correct horse battery' }
    expect((await clientOf(app).resetPassword(reset)).status).toBe(204)
  })
})

test('guesses are limited for all purposes together, and the password still works', async () => {
  const app = await start({ HUFU_LIMITS: 'on' })
  await addPerson(app.services)
  const statuses: number[] = []
  const client = clientOf(app)
  const guess = { phoneNumber: person.phone, code: '000000' }
  for (let i = 0; i < 4; i++) statuses.push((await client.signIn(guess)).status)
  const reset = { ...guess, newPassword: 'correct horse battery' }
  for (let i = 0; i < 4; i++) statuses.push((await client.resetPassword(reset)).status)
  expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429, 429])
  const password = { phoneNumber: person.phone, password: person.password }
  expect((await client.signIn(password)).status).toBe(201)
})

test('with a grace period of zero, a closed account is gone once the answer arrives', async () => {
  const app = await start({ HUFU_CLOSING_DAYS: '0' })
  await askFor(app, 'sign_in')
  const { body } = await clientOf(app).signIn({ phoneNumber: phone, code: sentCode() })
  const token = String(body.token)
  await askFor(app, 'close_account')
  await app.services.codeSender.close()
  expect((await clientOf(app).closeAccount(token, sentCode())).status).toBe(202)
  expect(await app.services.accounts.find(phone)).toBeNull()
  expect((await clientOf(app).me(token)).status).toBe(401)
})
