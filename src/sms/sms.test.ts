// When a second gateway may be called, on real gateways that count their requests.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { aliyunGateway } from '../../test/support/gateways/aliyun.ts'
import { FakeGateway, type Fault } from '../../test/support/gateways/gateway.ts'
import { tencentGateway } from '../../test/support/gateways/tencent.ts'
import { ManualClock } from '../clock.ts'
import { aliyunSms } from './drivers/aliyun.ts'
import { consoleSms } from './drivers/console.ts'
import { tencentSms } from './drivers/tencent.ts'
import type { SmsError, SmsMessage } from './sms.ts'
import { breakMs, SmsSender } from './sms-sender.ts'
import type { Template } from './template.ts'

const clock = new ManualClock()
const now = () => clock.now()
const secret = 'hunter2'
const code: SmsMessage = { to: '+8613800005223', template: 'code', code: '123456', minutes: 5 }
const changed: SmsMessage = { to: '+8613800005223', template: 'phone_changed', newNumber: '139****0001' }
const codeTemplate: Template = { id: 'T_1', parameters: ['code'] }
const changedTemplate: Template = { id: 'T_2', parameters: ['number'] }

describe('fail-over from aliyun to tencent', () => {
  let first: FakeGateway
  let second: FakeGateway
  let told: SmsError[]

  beforeAll(async () => {
    first = await FakeGateway.start(aliyunGateway({ id: 'id', secret, signName: '虎符', now }))
    second = await FakeGateway.start(
      tencentGateway({ id: 'id', key: secret, sdkAppId: '1400006666', signName: '虎符', now }),
    )
  })
  beforeEach(() => {
    told = []
    first.reset()
    second.reset()
  })
  afterAll(async () => {
    await first.close()
    await second.close()
  })

  interface Making {
    readonly url?: string
    readonly firstChanged?: Template | null
    readonly secondChanged?: Template | null
    readonly timeoutMs?: number
  }
  function sender({ url = first.url, firstChanged = null, secondChanged = null, timeoutMs }: Making = {}) {
    const parts = { clock, print: async () => {}, timeoutMs: timeoutMs ?? 20_000 }
    const aliyun = aliyunSms.open(
      {
        endpoint: url,
        accessKeyId: 'id',
        accessKeySecret: secret,
        signName: '虎符',
        codeTemplate,
        phoneChangedTemplate: firstChanged,
      },
      parts,
    )
    const tencent = tencentSms.open(
      {
        endpoint: second.url,
        secretId: 'id',
        secretKey: secret,
        region: 'ap-guangzhou',
        sdkAppId: '1400006666',
        signName: '虎符',
        codeTemplate,
        phoneChangedTemplate: secondChanged,
      },
      parts,
    )
    return new SmsSender({ gateways: [aliyun, tencent], clock, onFailOver: (refusal) => told.push(refusal) })
  }
  const takenByBoth = () => [first.taken.length, second.taken.length]
  const thrownBy = (sending: Promise<unknown>) => expect(sending).rejects

  test('a message that the first gateway accepts goes to no other', async () => {
    const sent = await sender().send(code)
    expect(sent).toMatchObject({ outcome: 'sent', driver: 'aliyun', gatewayId: expect.any(String) })
    expect(first.taken[0]?.id).toBe(sent.id)
    expect([takenByBoth(), second.requests, told]).toEqual([[1, 0], [], []])
  })

  test.each([
    ['isv.AMOUNT_NOT_ENOUGH', 'out_of_funds'],
    ['isv.SMS_SIGNATURE_ILLEGAL', 'misconfigured'],
    ['Throttling.User', 'unavailable'],
  ])('%s (%s, surely not sent) lets the second gateway send, once, under the same id', async (word, ours) => {
    first.behaviour = { refuse: word }
    const sent = await sender().send(code)
    expect(sent).toMatchObject({ outcome: 'sent', driver: 'tencent' })
    expect([takenByBoth(), first.requests.length, second.requests.length]).toEqual([[0, 1], 1, 1])
    expect(second.taken[0]?.id).toBe(sent.id)
    expect(told).toMatchObject([{ driver: 'aliyun', code: ours, vendorCode: word }])
  })

  test('a gateway that cannot be reached lets the second one send', async () => {
    expect(await sender({ url: 'http://gateway.invalid' }).send(code)).toMatchObject({ driver: 'tencent' })
    expect(takenByBoth()).toEqual([0, 1])
    expect(told).toMatchObject([{ code: 'unavailable', surelyNotSent: true }])
  })

  test.each([
    ['isv.MOBILE_NUMBER_ILLEGAL', 'number_invalid'],
    ['isv.CUSTOMER_REFUSED', 'number_blocked'],
    ['isv.BUSINESS_LIMIT_CONTROL/hour', 'rate_limited'],
  ])('%s (%s) is about the person: no second gateway is asked', async (word, ours) => {
    first.behaviour = { refuse: word }
    await thrownBy(sender().send(code)).toMatchObject({ driver: 'aliyun', code: ours })
    expect([second.requests, told]).toEqual([[], []])
  })

  test('a message whose error may have come after the sending is never sent again', async () => {
    first.behaviour = { refuse: 'isp.SYSTEM_ERROR' }
    await thrownBy(sender().send(code)).toMatchObject({ driver: 'aliyun', surelyNotSent: false })
    expect([first.requests.length, second.requests.length]).toEqual([1, 0])
  })

  test.each<Fault>([
    'says_nothing',
    'half_an_answer',
    'breaks_the_connection',
    'not_json',
    'not_utf8',
    'no_members',
    'huge',
    'server_error',
    'redirect',
  ])('a first gateway that took the message and then "%s": one message, not two', async (fault) => {
    first.behaviour = { fault }
    const timed = fault === 'says_nothing' || fault === 'half_an_answer'
    await thrownBy(sender(timed ? { timeoutMs: 1_000 } : {}).send(code)).toMatchObject({
      driver: 'aliyun',
      surelyNotSent: false,
    })
    expect([takenByBoth(), first.requests.length, second.requests.length]).toEqual([[1, 0], 1, 0])
    expect(told).toEqual([])
  })

  test('where both refuse, the last word is the second one', async () => {
    first.behaviour = { refuse: 'isv.OUT_OF_SERVICE' }
    second.behaviour = { refuse: 'LimitExceeded.PhoneNumberThirtySecondLimit' }
    await thrownBy(sender().send(code)).toMatchObject({
      driver: 'tencent',
      code: 'rate_limited',
      retryAfterSeconds: 30,
    })
    expect(told).toMatchObject([{ driver: 'aliyun', code: 'out_of_funds' }])
  })

  test('where the second one has perhaps sent, that is what is said', async () => {
    first.behaviour = { refuse: 'isv.OUT_OF_SERVICE' }
    second.behaviour = { fault: 'breaks_the_connection' }
    await thrownBy(sender().send(code)).toMatchObject({ driver: 'tencent', surelyNotSent: false })
    expect(takenByBoth()).toEqual([0, 1])
  })

  test('a driver that failed for a reason of ours is not asked for 30 s; the second one takes over meanwhile', async () => {
    const sms = sender()
    first.behaviour = { refuse: 'isv.AMOUNT_NOT_ENOUGH' }
    await sms.send(code)
    first.behaviour = 'take'
    clock.advance(breakMs - 1)
    expect(await sms.send(code)).toMatchObject({ driver: 'tencent' })
    expect([first.requests.length, second.requests.length]).toEqual([1, 2])
    clock.advance(1)
    expect(await sms.send(code)).toMatchObject({ driver: 'aliyun' })
    expect(takenByBoth()).toEqual([1, 2])
  })

  test('where both have a break no gateway is called, and the error says for how long', async () => {
    const sms = sender()
    first.behaviour = { refuse: 'isv.AMOUNT_NOT_ENOUGH' }
    second.behaviour = { refuse: 'AuthFailure.SecretIdNotFound' }
    await thrownBy(sms.send(code)).toMatchObject({ driver: 'tencent', affectsEveryRecipient: true })
    clock.advance(10_000)
    expect(sms.breakSeconds('anyone')).toBe(20)
    await thrownBy(sms.send(code)).toMatchObject({
      code: 'misconfigured',
      surelyNotSent: true,
      affectsEveryRecipient: true,
      retryAfterSeconds: 20,
    })
    expect([first.requests.length, second.requests.length]).toEqual([1, 1])
    clock.advance(20_000)
    expect(sms.breakSeconds('anyone')).toBe(0)
  })

  test.each([
    'isv.MOBILE_NUMBER_ILLEGAL',
    'isv.BUSINESS_LIMIT_CONTROL/hour',
    'isv.DOMESTIC_NUMBER_NOT_SUPPORTED',
    'isv.SOMETHING_NEW',
    'Throttling.User',
  ])('%s may depend on the number, so that nobody can stop the codes of others with it', async (word) => {
    const sms = sender()
    first.behaviour = { refuse: word }
    await sms.send(code).catch(() => {})
    first.behaviour = 'take'
    expect(await sms.send(code)).toMatchObject({ driver: 'aliyun' })
  })

  test('a gateway that leaves three messages in a row in doubt is away; one that answers between them is not', async () => {
    const sms = sender()
    const fail = async () => {
      first.behaviour = { fault: 'breaks_the_connection' }
      await thrownBy(sms.send(code)).toMatchObject({ surelyNotSent: false })
      first.behaviour = 'take'
    }
    await fail()
    await fail()
    expect(await sms.send(code)).toMatchObject({ driver: 'aliyun' })
    for (let i = 0; i < 3; i++) await fail()
    expect(await sms.send(code)).toMatchObject({ driver: 'tencent' })
    clock.advance(breakMs)
    expect(await sms.send(code)).toMatchObject({ driver: 'aliyun' })
  })

  test('a break that a message to an owner caused does not show in messages to anyone, the other way round it does', async () => {
    const sms = sender()
    first.behaviour = { refuse: 'isv.AMOUNT_NOT_ENOUGH' }
    second.behaviour = { refuse: 'FailedOperation.InsufficientBalanceInSmsPackage' }
    await thrownBy(sms.send(code, 'owner')).toMatchObject({ code: 'out_of_funds' })
    expect([sms.breakSeconds('owner'), sms.breakSeconds('anyone')]).toEqual([30, 0])
    await thrownBy(sms.send(code, 'anyone')).toMatchObject({ code: 'out_of_funds' })
    expect(first.requests).toHaveLength(2)
    clock.advance(breakMs)
    await thrownBy(sms.send(code, 'anyone')).toMatchObject({ code: 'out_of_funds' })
    await thrownBy(sms.send(code, 'owner')).toMatchObject({ code: 'out_of_funds' })
    expect(first.requests).toHaveLength(3)
  })

  test('a refused template pauses its own kind of message, and a refused key pauses every kind', async () => {
    const sms = sender({ firstChanged: changedTemplate, secondChanged: changedTemplate })
    first.behaviour = { refuse: 'isv.SMS_TEMPLATE_ILLEGAL' }
    second.behaviour = { refuse: 'FailedOperation.TemplateIncorrectOrUnapproved' }
    await thrownBy(sms.send(changed)).toMatchObject({ driver: 'tencent', code: 'misconfigured' })
    first.behaviour = 'take'
    second.behaviour = 'take'
    expect([sms.breakSeconds('owner'), sms.breakSeconds('anyone')]).toEqual([0, 0])
    expect(await sms.send(code)).toMatchObject({ outcome: 'sent', driver: 'aliyun' })
    // The code that was sent does not end the break of the other kind.
    await thrownBy(sms.send(changed)).toMatchObject({ driver: 'tencent', retryAfterSeconds: 30 })
    expect([first.requests.length, second.requests.length]).toEqual([2, 1])

    clock.advance(breakMs)
    first.behaviour = { refuse: 'isv.AMOUNT_NOT_ENOUGH' }
    second.behaviour = { refuse: 'AuthFailure.SecretIdNotFound' }
    await thrownBy(sms.send(changed)).toMatchObject({ driver: 'tencent', code: 'misconfigured' })
    expect([sms.breakSeconds('owner'), sms.breakSeconds('anyone')]).toEqual([30, 30])
  })

  test('a kind of message without a template anywhere is skipped with a reason', async () => {
    expect(await sender().send(changed)).toMatchObject({
      outcome: 'skipped',
      reason: 'no_template',
      driver: 'aliyun',
    })
    expect([first.requests, second.requests]).toEqual([[], []])
  })

  test('a kind of message that only the second gateway has a template for goes there', async () => {
    const sent = await sender({ secondChanged: changedTemplate }).send(changed)
    expect(sent).toMatchObject({ outcome: 'sent', driver: 'tencent' })
    expect([takenByBoth(), first.requests]).toEqual([[0, 1], []])
  })

  test('a refusal says more than the second driver having no template', async () => {
    first.behaviour = { refuse: 'isv.OUT_OF_SERVICE' }
    await thrownBy(sender({ firstChanged: changedTemplate }).send(changed)).toMatchObject({
      driver: 'aliyun',
      code: 'out_of_funds',
    })
  })
})

test('console prints the code in one line in both languages, and the number masked', async () => {
  const lines: string[] = []
  const gateway = consoleSms.open({}, { clock, print: async (line) => void lines.push(line) })
  const sms = new SmsSender({ gateways: [gateway], clock })
  expect(await sms.send(code)).toMatchObject({ outcome: 'sent', driver: 'console', gatewayId: null })
  await sms.send(changed)
  expect(lines).toEqual([
    "[短信 SMS] +86138****5223  您的验证码是 123456，5 分钟内有效。请勿告诉任何人。 / Your code is 123456. It expires in 5 minutes. Don't share it with anyone.\n",
    '[短信 SMS] +86138****5223  您的账号已换绑手机号 139****0001。如非本人操作，请立即联系客服。 / The phone number of your account is now 139****0001. If this was not you, contact support at once.\n',
  ])
})
