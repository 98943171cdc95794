// Every driver against a gateway of its kind that is a real server and checks signatures by itself.
import net from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { aliyunGateway } from '../../../test/gateways/aliyun.ts'
import { FakeGateway, type Fault, type GatewayKind } from '../../../test/gateways/gateway.ts'
import { httpGateway } from '../../../test/gateways/http.ts'
import { tencentGateway } from '../../../test/gateways/tencent.ts'
import { twilioGateway } from '../../../test/gateways/twilio.ts'
import { ManualClock } from '../../clock.ts'
import { gatewayTimeoutMs } from '../../vendors/post.ts'
import { type SmsDriver, SmsError, type SmsErrorCode, type SmsMessage } from '../sms.ts'
import type { Templates } from '../template.ts'
import { AliyunSms } from './aliyun.ts'
import { HttpSms } from './http.ts'
import { TencentSms } from './tencent.ts'
import { TwilioSms } from './twilio.ts'

const secret = 'hunter2-hunter2-hunter2'
const gatewayClock = new ManualClock(Date.UTC(2026, 10, 22, 16))
const now = () => gatewayClock.now()
const id = '0b6d3c7e-4f0e-4c39-9d3c-5a2b8f6f1e11'
const code: SmsMessage = { to: '+8613800005223', template: 'code', code: '123456', minutes: 5 }
const changed: SmsMessage = { to: '+8613800005223', template: 'phone_changed', newNumber: '139****0001' }
const templates: Templates = {
  code: { id: 'T_1', parameters: ['code', 'minutes'] },
  phone_changed: { id: 'T_2', parameters: ['number'] },
}
const onlyCodes: Templates = { ...templates, phone_changed: null }

interface Making {
  readonly url: string
  readonly secret: string
  readonly clock: ManualClock
  readonly templates: Templates
  readonly timeoutMs?: number
}

interface Kind {
  readonly name: SmsDriver['name']
  readonly gateway: GatewayKind
  make(making: Making): SmsDriver
  /** How the gateway understands the two messages. */
  readonly understood: { readonly code: unknown; readonly changed: unknown }
  readonly gatewayId: string
  /** Its words, ours, and seconds to wait. */
  readonly refusals: readonly [string, SmsErrorCode, number | null][]
  /** Those of its words that may depend on the number, although they are about our account or the gateway. */
  readonly perhapsOneNumber: readonly string[]
  /** Its words for trouble that may have come after the sending. */
  readonly doubts: readonly string[]
  /** What it says to somebody with a wrong key, and to a clock that is a day wrong (null: it does not look). */
  readonly strangers: { readonly key: string; readonly clock: string | null }
}

const kinds: Kind[] = [
  {
    name: 'http',
    gateway: httpGateway({ secret, now }),
    make: ({ url, ...options }) => new HttpSms({ ...options, url: `${url}/send?app=1` }),
    understood: {
      code: {
        template: 'code',
        code: '123456',
        minutes: 5,
        text: {
          'zh-CN': '您的验证码是 123456，5 分钟内有效。请勿告诉任何人。',
          en: "Your code is 123456. It expires in 5 minutes. Don't share it with anyone.",
        },
      },
      changed: {
        template: 'phone_changed',
        new_number: '139****0001',
        text: {
          'zh-CN': '您的账号已换绑手机号 139****0001。如非本人操作，请立即联系客服。',
          en: 'The phone number of your account is now 139****0001. If this was not you, contact support at once.',
        },
      },
    },
    gatewayId: 'own-1',
    refusals: [
      ['number_invalid/E1', 'number_invalid', null],
      ['number_blocked/E2', 'number_blocked', null],
      ['rate_limited/E3', 'rate_limited', null],
      ['misconfigured/E4', 'misconfigured', null],
      ['out_of_funds/E5', 'out_of_funds', null],
      ['unavailable/E6', 'unavailable', null],
      ['400', 'misconfigured', null],
      ['403', 'misconfigured', null],
      ['404', 'misconfigured', null],
      ['429', 'rate_limited', null],
    ],
    perhapsOneNumber: ['400'],
    doubts: ['500', '503', '504', '408', '409', 'no_such_word'],
    strangers: { key: 'HTTP_401', clock: 'HTTP_401' },
  },
  {
    name: 'aliyun',
    gateway: aliyunGateway({ id: 'LTAI-id', secret, signName: '虎符 (测试)*', now }),
    make: ({ url, secret, ...options }) =>
      new AliyunSms({
        ...options,
        endpoint: url,
        key: { id: 'LTAI-id', secret },
        signName: '虎符 (测试)*',
      }),
    understood: {
      code: { template: 'T_1', code: '123456', minutes: '5' },
      changed: { template: 'T_2', number: '139****0001' },
    },
    gatewayId: '900619746936498441^0',
    refusals: [
      ['isv.MOBILE_NUMBER_ILLEGAL', 'number_invalid', null],
      ['isv.CUSTOMER_REFUSED', 'number_blocked', null],
      ['isv.BUSINESS_LIMIT_CONTROL/minute', 'rate_limited', 60],
      ['isv.BUSINESS_LIMIT_CONTROL/hour', 'rate_limited', 3_600],
      ['isv.BUSINESS_LIMIT_CONTROL/day', 'rate_limited', 86_400],
      ['isv.BUSINESS_LIMIT_CONTROL', 'rate_limited', null],
      ['isv.DAY_LIMIT_CONTROL', 'rate_limited', null],
      ['isv.SIGN_STATE_ILLEGAL', 'misconfigured', null],
      ['isv.SMS_TEMPLATE_ILLEGAL', 'misconfigured', null],
      ['isv.DENY_IP_RANGE', 'misconfigured', null],
      ['isp.RAM_PERMISSION_DENY', 'misconfigured', null],
      ['InvalidAccessKeyId.Inactive', 'misconfigured', null],
      ['isv.AMOUNT_NOT_ENOUGH', 'out_of_funds', null],
      ['isv.OUT_OF_SERVICE', 'out_of_funds', null],
      ['Throttling.User', 'unavailable', null],
      ['isv.DOMESTIC_NUMBER_NOT_SUPPORTED', 'destination_refused', null],
      ['isv.SOMETHING_NEW', 'misconfigured', null],
    ],
    perhapsOneNumber: ['Throttling.User', 'isv.SOMETHING_NEW'],
    doubts: ['isp.SYSTEM_ERROR', 'ServiceUnavailable', 'InternalError', 'constructor', '短信'],
    strangers: { key: 'SignatureDoesNotMatch', clock: 'InvalidTimeStamp.Expired' },
  },
  {
    name: 'tencent',
    gateway: tencentGateway({ id: 'AKID-id', key: secret, sdkAppId: '1400006666', signName: '虎符', now }),
    make: ({ url, secret, ...options }) =>
      new TencentSms({
        ...options,
        endpoint: url,
        secret: { id: 'AKID-id', key: secret },
        region: 'ap-guangzhou',
        sdkAppId: '1400006666',
        signName: '虎符',
      }),
    understood: {
      code: { template: 'T_1', parameters: ['123456', '5'] },
      changed: { template: 'T_2', parameters: ['139****0001'] },
    },
    gatewayId: '5000:1045710669157053657849499611',
    refusals: [
      ['InvalidParameterValue.IncorrectPhoneNumber', 'number_invalid', null],
      ['FailedOperation.PhoneNumberInBlacklist', 'number_blocked', null],
      ['LimitExceeded.PhoneNumberThirtySecondLimit', 'rate_limited', 30],
      ['LimitExceeded.PhoneNumberOneHourLimit', 'rate_limited', 3_600],
      ['LimitExceeded.PhoneNumberDailyLimit', 'rate_limited', 86_400],
      ['LimitExceeded.DeliveryFrequencyLimit', 'rate_limited', null],
      ['LimitExceeded.AppDailyLimit', 'rate_limited', null],
      ['FailedOperation.SignatureIncorrectOrUnapproved', 'misconfigured', null],
      ['FailedOperation.TemplateIncorrectOrUnapproved', 'misconfigured', null],
      ['FailedOperation.TemplateParamSetNotMatchApprovedTemplate', 'misconfigured', null],
      ['UnauthorizedOperation.RequestIpNotInWhitelist', 'misconfigured', null],
      ['AuthFailure.SecretIdNotFound', 'misconfigured', null],
      ['FailedOperation.InsufficientBalanceInSmsPackage', 'out_of_funds', null],
      ['UnauthorizedOperation.ServiceSuspendDueToArrears', 'out_of_funds', null],
      ['RequestLimitExceeded', 'unavailable', null],
      ['RequestLimitExceeded.UinLimitExceeded', 'unavailable', null],
      ['UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone', 'destination_refused', null],
      ['UnsupportedOperation.SomethingNew', 'misconfigured', null],
    ],
    perhapsOneNumber: [
      'RequestLimitExceeded',
      'RequestLimitExceeded.UinLimitExceeded',
      'UnsupportedOperation.SomethingNew',
    ],
    doubts: ['InternalError', 'InternalError.Timeout', 'FailedOperation', 'constructor', '短信'],
    strangers: { key: 'AuthFailure.SignatureFailure', clock: 'AuthFailure.SignatureExpire' },
  },
  {
    name: 'twilio',
    gateway: twilioGateway({ sid: 'AC1', token: secret }),
    make: ({ url, secret, timeoutMs }) =>
      new TwilioSms({
        endpoint: url,
        accountSid: 'AC1',
        authToken: secret,
        from: '+15005550006',
        ...(timeoutMs !== undefined && { timeoutMs }),
      }),
    understood: {
      // Not in the GSM alphabet: the words must arrive as they are.
      code: {
        text: '您的验证码是 123456，5 分钟内有效。请勿告诉任何人。',
        from: '+15005550006',
        service: null,
      },
      changed: {
        text: '您的账号已换绑手机号 139****0001。如非本人操作，请立即联系客服。',
        from: '+15005550006',
        service: null,
      },
    },
    gatewayId: 'SM00000000000000000000000000000001',
    refusals: [
      ['21211', 'number_invalid', null],
      ['21614', 'number_invalid', null],
      ['21610', 'number_blocked', null],
      ['63038', 'rate_limited', null],
      ['21606', 'misconfigured', null],
      ['21408', 'destination_refused', null],
      ['20003', 'misconfigured', null],
      ['20005', 'out_of_funds', null],
      ['20429', 'unavailable', null],
    ],
    // 21606: not a valid sender for this destination.
    perhapsOneNumber: ['21606', '20429'],
    doubts: ['20500'],
    strangers: { key: '20003', clock: null },
  },
]

/** What is about our account or the gateway, not about a number. */
const ofUs: readonly SmsErrorCode[] = ['misconfigured', 'out_of_funds', 'unavailable']

async function refusalOf(sending: Promise<unknown>): Promise<SmsError> {
  const error = await sending.then(
    (value) => expect.fail(`it was not refused: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  )
  if (!(error instanceof SmsError)) throw error
  expectNothingSecret(error)
  return error
}

/** In what it says, in its stack and in everything that caused it. */
function expectNothingSecret(error: Error): void {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const members = JSON.stringify(at, Object.getOwnPropertyNames(at))
    for (const hidden of ['123456', '13800005223', secret, Buffer.from(`AC1:${secret}`).toString('base64')])
      expect(members).not.toContain(hidden)
  }
}

describe.each(kinds)('$name', (kind) => {
  let gateway: FakeGateway
  const clock = new ManualClock(now())
  const making = (more: Partial<Making> = {}): Making => ({
    url: gateway.url,
    secret,
    clock,
    templates,
    timeoutMs: 20_000,
    ...more,
  })
  const driver = (more: Partial<Making> = {}) => kind.make(making(more))

  beforeAll(async () => {
    gateway = await FakeGateway.start(kind.gateway)
  })
  beforeEach(() => gateway.reset())
  afterAll(() => gateway.close())

  test('gives a code to the gateway once, and knows it by the name it has there', async () => {
    expect(await driver().send(code, id)).toEqual({ outcome: 'sent', gatewayId: kind.gatewayId })
    expect(gateway.taken.map(({ content }) => content)).toEqual([kind.understood.code])
    expect(gateway.taken[0]?.to).toMatch(/^(\+86)?13800005223$/)
    if (kind.name !== 'twilio') expect(gateway.taken[0]?.id).toBe(id)
  })

  test('gives the other kind of message to the gateway', async () => {
    expect(await driver().send(changed, id)).toMatchObject({ outcome: 'sent' })
    expect(gateway.taken.map(({ content }) => content)).toEqual([kind.understood.changed])
  })

  test('signs each of many messages anew', async () => {
    const one = driver()
    await Promise.all(Array.from({ length: 5 }, () => one.send(code, id)))
    expect(gateway.taken).toHaveLength(5)
  })

  test.each(kind.refusals)('%s of the gateway is our %s, surely not sent', async (word, ours, seconds) => {
    gateway.behaviour = { refuse: word }
    const error = await refusalOf(driver().send(code, id))
    expect(error).toMatchObject({
      driver: kind.name,
      code: ours,
      surelyNotSent: true,
      affectsEveryNumber: ofUs.includes(ours) && !kind.perhapsOneNumber.includes(word),
      retryAfterSeconds: seconds,
    })
    expect(`${kind.name === 'http' ? error.gatewayCode?.replace('HTTP_', '') : error.gatewayCode}`).toBe(
      kind.name === 'http' ? (word.split('/')[1] ?? word) : word.split('/')[0],
    )
    expect(gateway.requests).toHaveLength(1)
  })

  test.each(kind.doubts)('%s of the gateway is unavailable, perhaps sent', async (word) => {
    gateway.behaviour = { refuse: word }
    expect(await refusalOf(driver().send(code, id))).toMatchObject({
      code: 'unavailable',
      surelyNotSent: false,
      affectsEveryNumber: false,
    })
    expect(gateway.requests).toHaveLength(1)
  })

  test('a key that the gateway does not know is misconfigured, and nothing was sent', async () => {
    const error = await refusalOf(driver({ secret: 'another' }).send(code, id))
    expect(error).toMatchObject({
      code: 'misconfigured',
      surelyNotSent: true,
      gatewayCode: kind.strangers.key,
    })
    expect(gateway.taken).toEqual([])
  })

  const { clock: clockWord } = kind.strangers
  if (clockWord !== null) {
    test('a clock that is a day wrong is misconfigured, and nothing was sent', async () => {
      const wrong = new ManualClock(now() - 86_400_000)
      const error = await refusalOf(driver({ clock: wrong }).send(code, id))
      expect(error).toMatchObject({ code: 'misconfigured', surelyNotSent: true, gatewayCode: clockWord })
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
    // It is not the time-out that ends it, nor the end of the memory: what was read so far was enough to know.
    const isAnswer = fault !== 'breaks_the_connection' && fault !== 'not_utf8'
    if (isAnswer) expect(error).toMatchObject({ gatewayCode: expect.stringMatching(/^HTTP_\d{3}$/) })
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
      gatewayCode: 'HTTP_307',
    })
    expect(gateway.requests).toHaveLength(1)
  })

  test('a connection that cannot be made has surely sent nothing', async () => {
    const url = `http://127.0.0.1:${await closedPort()}`
    const error = await refusalOf(driver({ url }).send(code, id))
    expect(error).toMatchObject({
      code: 'unavailable',
      surelyNotSent: true,
      affectsEveryNumber: true,
      gatewayCode: null,
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
  const kindOf = (name: string) => kinds.find((kind) => kind.name === name) ?? expect.fail()

  test.each(['aliyun', 'tencent'])('%s skips a message without a template, and asks nobody', async (name) => {
    const kind = kindOf(name)
    await withGateway(kind.gateway, async ({ url, requests }) => {
      const driver = kind.make({ url, secret, clock: gatewayClock, templates: onlyCodes })
      expect(await driver.send(changed, id)).toEqual({ outcome: 'skipped', reason: 'no_template' })
      expect(requests).toEqual([])
    })
  })

  test('aliyun writes mainland numbers without a country code, and others without a plus sign', async () => {
    const kind = kindOf('aliyun')
    await withGateway(kind.gateway, async ({ url, taken }) => {
      const driver = kind.make({ url, secret, clock: gatewayClock, templates })
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
        const driver = kindOf(name).make({ url, secret, clock: gatewayClock, templates })
        expect(await refusalOf(driver.send(code, id))).toMatchObject({ code: 'misconfigured' })
      })
    }
  })

  test('twilio speaks English outside the mainland, and sends through a messaging service where one is set', async () => {
    const sid = `MG${'0'.repeat(32)}`
    await withGateway(twilioGateway({ sid: 'AC1', token: secret }), async ({ url, taken }) => {
      const options = { endpoint: url, accountSid: 'AC1', authToken: secret, from: sid }
      await new TwilioSms(options).send({ ...code, to: '+14155552671' })
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
    const kind = kindOf(name)
    await withGateway(kind.gateway, async (gateway) => {
      const driver = kind.make({ url: gateway.url, secret, clock: gatewayClock, templates })
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
      const driver = new HttpSms({ url, secret, clock: gatewayClock })
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
  expect(gatewayTimeoutMs).toBe(3_000)
  const waits = kinds.map(async (kind) => {
    const gateway = await FakeGateway.start(kind.gateway)
    gateway.behaviour = { fault: 'says_nothing' }
    const driver = kind.make({ url: gateway.url, secret, clock: gatewayClock, templates })
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

async function closedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  // A server that listens on TCP has such an address.
  const { port } = server.address() as net.AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
