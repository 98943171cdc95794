// Every driver against a gateway of its kind, which is a real server and checks signatures independently.
import net from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { aliyunCase, aliyunGateway } from '../../../test/support/gateways/aliyun.ts'
import { type DriverCase, gatewayClock, now, secret } from '../../../test/support/gateways/driver-case.ts'
import { FakeGateway, type Fault, type GatewayKind } from '../../../test/support/gateways/gateway.ts'
import { httpCase, httpGateway } from '../../../test/support/gateways/http.ts'
import { tencentCase, tencentGateway } from '../../../test/support/gateways/tencent.ts'
import { twilioCase, twilioGateway } from '../../../test/support/gateways/twilio.ts'
import { ManualClock } from '../../clock.ts'
import type { DriverParts } from '../../vendors/driver.ts'
import { vendorTimeoutMs } from '../../vendors/post.ts'
import { isSmsError, type SmsError, type SmsErrorCode, type SmsGateway, type SmsMessage } from '../sms.ts'
import type { Templates } from '../template.ts'
import { smsDrivers } from './drivers.ts'

const cases = [httpCase, aliyunCase, tencentCase, twilioCase]

const id = '0b6d3c7e-4f0e-4c39-9d3c-5a2b8f6f1e11'
const code: SmsMessage = { to: '+8613800005223', template: 'code', code: '123456', minutes: 5 }
const changed: SmsMessage = { to: '+8613800005223', template: 'phone_changed', newNumber: '139****0001' }
const templates: Templates = {
  code: { id: 'T_1', parameters: ['code', 'minutes'] },
  phone_changed: { id: 'T_2', parameters: ['number'] },
}
const onlyCodes: Templates = { ...templates, phone_changed: null }

interface Making extends Partial<DriverParts> {
  readonly url: string
  readonly secret?: string
  readonly templates?: Templates
}

function open(one: DriverCase, making: Making): SmsGateway {
  const settings = { secret, templates, ...making }
  const print = () => expect.fail('a gateway prints nothing')
  return one.driver.open(one.settings(settings), { clock: gatewayClock, print, ...making })
}

/** Errors of the account or the gateway, which do not depend on a number. */
const ofUs: readonly SmsErrorCode[] = ['misconfigured', 'out_of_funds', 'unavailable']

async function refusalOf(sending: Promise<unknown>): Promise<SmsError> {
  const error = await sending.then(
    (value) => expect.fail(`it was not refused: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  )
  if (!isSmsError(error)) throw error
  expectNothingSecret(error)
  return error
}

/** No secret in the message, in the stack, or in any cause. */
function expectNothingSecret(error: Error): void {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const members = JSON.stringify(at, Object.getOwnPropertyNames(at))
    for (const hidden of ['123456', '13800005223', secret, Buffer.from(`AC1:${secret}`).toString('base64')])
      expect(members).not.toContain(hidden)
  }
}

describe.each(cases)('$driver.name', (kind) => {
  const { name } = kind.driver
  let gateway: FakeGateway
  const clock = new ManualClock(now())
  const driver = (more: Partial<Making> = {}) =>
    open(kind, { url: gateway.url, clock, timeoutMs: 20_000, ...more })

  beforeAll(async () => {
    gateway = await FakeGateway.start(kind.gateway)
  })
  beforeEach(() => gateway.reset())
  afterAll(() => gateway.close())

  test('gives a code to the gateway once, and knows it by the name it has there', async () => {
    expect(await driver().send(code, id)).toEqual({ outcome: 'sent', gatewayId: kind.gatewayId })
    expect(gateway.taken.map(({ content }) => content)).toEqual([kind.understood.code])
    expect(gateway.taken[0]?.to).toMatch(/^(\+86)?13800005223$/)
    if (name !== 'twilio') expect(gateway.taken[0]?.id).toBe(id)
  })

  test('gives the other kind of message to the gateway', async () => {
    expect(await driver().send(changed, id)).toMatchObject({ outcome: 'sent' })
    expect(gateway.taken.map(({ content }) => content)).toEqual([kind.understood.changed])
  })

  test('signs each of many messages separately', async () => {
    const one = driver()
    await Promise.all(Array.from({ length: 5 }, () => one.send(code, id)))
    expect(gateway.taken).toHaveLength(5)
  })

  test.each(kind.refusals)('%s of the gateway is our %s, surely not sent', async (word, ours, seconds) => {
    gateway.behaviour = { refuse: word }
    const error = await refusalOf(driver().send(code, id))
    expect(error).toMatchObject({
      driver: name,
      code: ours,
      surelyNotSent: true,
      affectsEveryRecipient: ofUs.includes(ours) && !kind.perhapsOneNumber.includes(word),
      isAboutTemplate: kind.aboutTemplate.includes(word),
      retryAfterSeconds: seconds,
    })
    expect(`${name === 'http' ? error.vendorCode?.replace('HTTP_', '') : error.vendorCode}`).toBe(
      name === 'http' ? (word.split('/')[1] ?? word) : word.split('/')[0],
    )
    expect(gateway.requests).toHaveLength(1)
  })

  test.each(kind.doubts)('%s of the gateway is unavailable, perhaps sent', async (word) => {
    gateway.behaviour = { refuse: word }
    expect(await refusalOf(driver().send(code, id))).toMatchObject({
      code: 'unavailable',
      surelyNotSent: false,
      affectsEveryRecipient: false,
    })
    expect(gateway.requests).toHaveLength(1)
  })

  test('a key that the gateway does not know is misconfigured, and nothing was sent', async () => {
    const error = await refusalOf(driver({ secret: 'another' }).send(code, id))
    expect(error).toMatchObject({
      code: 'misconfigured',
      surelyNotSent: true,
      vendorCode: kind.strangers.key,
    })
    expect(gateway.taken).toEqual([])
  })

  const { clock: clockWord } = kind.strangers
  if (clockWord !== null) {
    test('a clock that is a day wrong is misconfigured, and nothing was sent', async () => {
      const wrong = new ManualClock(now() - 86_400_000)
      const error = await refusalOf(driver({ clock: wrong }).send(code, id))
      expect(error).toMatchObject({ code: 'misconfigured', surelyNotSent: true, vendorCode: clockWord })
      expect(gateway.taken).toEqual([])
    })
  }

  const faults: Fault[] = [
    'breaks_the_connection',
    'not_json',
    'not_utf8',
    'no_members',
    'huge',
    'server_error',
  ]
  test.each(faults)('a gateway whose answer is "%s" has perhaps sent, and is asked once', async (fault) => {
    gateway.behaviour = { fault }
    const error = await refusalOf(driver().send(code, id))
    expect(error).toMatchObject({ code: 'unavailable', surelyNotSent: false })
    // Neither the time-out nor the memory limit ends the request: the bytes that were read so far were
    // enough.
    const isAnswer = fault !== 'breaks_the_connection' && fault !== 'not_utf8'
    if (isAnswer) expect(error).toMatchObject({ vendorCode: expect.stringMatching(/^HTTP_\d{3}$/) })
    else expect(error.cause).toMatchObject({ name: expect.stringMatching(/^(SocketError|TypeError)$/) })
    expect(gateway.requests).toHaveLength(1)
  })

  test.each<Fault>([
    'says_nothing',
    'half_an_answer',
  ])('a gateway that "%s" is given up, has perhaps sent, and is asked once', async (fault) => {
    gateway.behaviour = { fault }
    const error = await refusalOf(driver({ timeoutMs: 1_000 }).send(code, id))
    expect(error).toMatchObject({ code: 'unavailable', surelyNotSent: false })
    expect(error.cause).toMatchObject({ name: 'TimeoutError' })
    expect(gateway.requests).toHaveLength(1)
  })

  test('a redirect is not followed', async () => {
    gateway.behaviour = { fault: 'redirect' }
    expect(await refusalOf(driver().send(code, id))).toMatchObject({
      code: 'misconfigured',
      surelyNotSent: false,
      vendorCode: 'HTTP_307',
    })
    expect(gateway.requests).toHaveLength(1)
  })

  test('a connection that cannot be made has surely sent nothing', async () => {
    const url = `http://127.0.0.1:${await closedPort()}`
    const error = await refusalOf(driver({ url }).send(code, id))
    expect(error).toMatchObject({
      code: 'unavailable',
      surelyNotSent: true,
      affectsEveryRecipient: true,
      vendorCode: null,
    })
    expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('a name that does not exist has surely sent nothing', async () => {
    expect(await refusalOf(driver({ url: 'http://gateway.invalid' }).send(code, id))).toMatchObject({
      code: 'unavailable',
      surelyNotSent: true,
    })
  })
})

describe('what only one of them does', () => {
  async function withGateway(kind: GatewayKind, work: (gateway: FakeGateway) => Promise<void>) {
    const gateway = await FakeGateway.start(kind)
    try {
      await work(gateway)
    } finally {
      await gateway.close()
    }
  }
  const caseOf = (name: string) => cases.find(({ driver }) => driver.name === name) ?? expect.fail()

  test.each(['aliyun', 'tencent'])('%s skips a message without a template, and asks nobody', async (name) => {
    const kind = caseOf(name)
    await withGateway(kind.gateway, async ({ url, requests }) => {
      const driver = open(kind, { url, templates: onlyCodes })
      expect(await driver.send(changed, id)).toEqual({ outcome: 'skipped', reason: 'no_template' })
      expect(requests).toEqual([])
    })
  })

  test('aliyun writes mainland numbers without a country code, and others without a plus sign', async () => {
    const kind = caseOf('aliyun')
    await withGateway(kind.gateway, async ({ url, taken }) => {
      const driver = open(kind, { url })
      for (const to of ['+8613800005223', '+85261234567', '+8615']) await driver.send({ ...code, to }, id)
      expect(taken.map(({ to }) => to)).toEqual(['13800005223', '85261234567', '8615'])
    })
  })

  test('a signature that is not approved is misconfigured', async () => {
    const gateways = [
      aliyunGateway({ id: 'LTAI-id', secret, signName: '别的', now }),
      tencentGateway({ id: 'AKID-id', key: secret, sdkAppId: '1400006666', signName: '别的', now }),
    ]
    for (const [i, name] of ['aliyun', 'tencent'].entries()) {
      await withGateway(gateways[i] ?? expect.fail(), async ({ url }) => {
        const driver = open(caseOf(name), { url })
        expect(await refusalOf(driver.send(code, id))).toMatchObject({ code: 'misconfigured' })
      })
    }
  })

  test('twilio speaks English outside the mainland, and sends through a messaging service where one is set', async () => {
    const sid = `MG${'0'.repeat(32)}`
    await withGateway(twilioGateway({ sid: 'AC1', token: secret }), async ({ url, taken }) => {
      const throughService: DriverCase = {
        ...twilioCase,
        settings: (of) => ({ ...twilioCase.settings(of), from: sid }),
      }
      await open(throughService, { url }).send({ ...code, to: '+14155552671' }, id)
      expect(taken).toEqual([
        {
          to: '+14155552671',
          content: {
            text: "Your code is 123456. It expires in 5 minutes. Don't share it with anyone.",
            from: null,
            service: sid,
          },
          id: null,
        },
      ])
    })
  })

  test.each([
    ['http', 'rate_limited'],
    ['twilio', '20429'],
  ])('%s passes on how long to wait, a day at most, and takes no date for it', async (name, refuse) => {
    const kind = caseOf(name)
    await withGateway(kind.gateway, async (gateway) => {
      const driver = open(kind, { url: gateway.url })
      const waits = { '42': 42, '999999': 86_400, 'Sun, 22 Nov 2026 16:00:00 GMT': null }
      for (const [header, seconds] of Object.entries(waits)) {
        gateway.behaviour = { refuse, headers: { 'retry-after': header } }
        expect((await refusalOf(driver.send(code, id))).retryAfterSeconds).toBe(seconds)
      }
    })
  })

  test('http takes an empty 204, and a refusal that comes with status 200', async () => {
    const kind = httpGateway({ secret, now })
    const answers = [
      { status: 204, body: '' },
      { status: 200, body: '{"error":"out_of_funds"}' },
      { status: 200, body: '{"error":"余额不足"}' },
    ]
    const accepted = () => answers.shift() ?? expect.fail()
    await withGateway({ ...kind, accepted }, async ({ url }) => {
      const driver = open(httpCase, { url })
      expect(await driver.send(code, id)).toEqual({ outcome: 'sent', gatewayId: null })
      expect(await refusalOf(driver.send(code, id))).toMatchObject({
        code: 'out_of_funds',
        surelyNotSent: true,
      })
      expect(await refusalOf(driver.send(code, id))).toMatchObject({
        code: 'unavailable',
        surelyNotSent: false,
      })
    })
  })
})

test('three seconds is how long each of them waits', async () => {
  expect(vendorTimeoutMs).toBe(3_000)
  const waits = cases.map(async (kind) => {
    const gateway = await FakeGateway.start(kind.gateway)
    gateway.behaviour = { fault: 'says_nothing' }
    const driver = open(kind, { url: gateway.url })
    const began = performance.now()
    await refusalOf(driver.send(code, id))
    await gateway.close()
    return performance.now() - began
  })
  for (const waited of await Promise.all(waits)) {
    expect(waited).toBeGreaterThan(2_900)
    expect(waited).toBeLessThan(10_000)
  }
})

test('each driver has a name of its own that begins the names of its settings, and is tested here', () => {
  const { all } = smsDrivers
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
  for (const { name, settings, required } of all) {
    for (const row of Object.values(settings))
      expect(row.name).toMatch(new RegExp(`^HUFU_SMS_${name.toUpperCase()}_[A-Z_]+$`))
    expect(Object.keys(settings)).toEqual(expect.arrayContaining([...required]))
  }
  expect(['console', ...cases.map(({ driver }) => driver.name)]).toEqual(all.map(({ name }) => name))
})

async function closedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  // A server that listens on TCP has such an address.
  const { port } = server.address() as net.AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
