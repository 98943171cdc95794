// "hufu sms test" against gateways that are real servers, and the checks of doctor.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runCommand, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { aliyunGateway } from '../support/gateways/aliyun.ts'
import { FakeGateway } from '../support/gateways/gateway.ts'
import { httpGateway } from '../support/gateways/http.ts'
import { freePort } from '../support/services/ports.ts'

const secret = 'hunter2'
const now = () => Date.now()
const phone = '13800005223'

let http: FakeGateway
let aliyun: FakeGateway
let environment: Record<string, string>

beforeAll(async () => {
  http = await FakeGateway.start(httpGateway({ secret, now }))
  aliyun = await FakeGateway.start(aliyunGateway({ id: 'LTAI', secret, signName: '虎符', now }))
  environment = {
    HUFU_SMS: 'http,aliyun',
    HUFU_SMS_HTTP_URL: http.url,
    HUFU_SMS_HTTP_SECRET: secret,
    HUFU_SMS_ALIYUN_ACCESS_KEY_ID: 'LTAI',
    HUFU_SMS_ALIYUN_ACCESS_KEY_SECRET: secret,
    HUFU_SMS_ALIYUN_SIGN_NAME: '虎符',
    HUFU_SMS_ALIYUN_CODE_TEMPLATE: 'SMS_154950909',
    HUFU_SMS_ALIYUN_ENDPOINT: aliyun.url,
  }
})
beforeEach(() => {
  http.reset()
  aliyun.reset()
})
afterAll(async () => {
  await http?.close()
  await aliyun?.close()
})

const smsTest = (args: string[], more: Record<string, string> = {}) =>
  runCommand(['sms', 'test', ...args], { ...environment, ...more })

describe('sms test', () => {
  test('sends a code and prints which gateway accepted it and its message id', async () => {
    const result = await smsTest([phone, '--json'])
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(result.stdout)).toEqual({ driver: 'http', id: http.taken[0]?.id, gateway_id: 'own-1' })
    expect(http.taken).toMatchObject([
      { to: '+8613800005223', content: { code: expect.stringMatching(/^\d{6}$/) } },
    ])
  })

  test('prints the same as text, without the code and with the number masked', async () => {
    const result = await smsTest([phone])
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(result.stdout).toBe(`http accepted the message to +86138****5223 (${http.taken[0]?.id}, own-1)\n`)
  })

  test('reports the gateway that was skipped, with its error and advice', async () => {
    http.behaviour = { refuse: 'out_of_funds/E_MONEY' }
    const result = await smsTest([phone])
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(result.stdout).toMatch(
      /^http: out_of_funds \(E_MONEY\)\. .*top it up\.\naliyun accepted the message/,
    )
    expect(aliyun.taken).toMatchObject([{ to: phone, content: { template: 'SMS_154950909' } }])
  })

  test("a refusal is exit code 1 with the vendor's code and advice, in the language of the terminal", async () => {
    aliyun.behaviour = { refuse: 'isv.BUSINESS_LIMIT_CONTROL/hour' }
    const only = { HUFU_SMS: 'aliyun', LANG: 'zh_CN.UTF-8' }
    const chinese = await smsTest([phone], only)
    expect(chinese).toMatchObject({ code: 1, stdout: '' })
    expect(chinese.stderr).toMatch(/^aliyun: rate_limited \(isv\.BUSINESS_LIMIT_CONTROL\)\. 超过了网关的/)
    const json = await smsTest([phone, '--json'], only)
    expect(json).toMatchObject({ code: 1, stdout: '' })
    expect(JSON.parse(json.stderr)).toEqual({
      error: 'rate_limited',
      message: expect.stringContaining('isv.BUSINESS_LIMIT_CONTROL'),
      driver: 'aliyun',
      gateway_code: 'isv.BUSINESS_LIMIT_CONTROL',
      surely_not_sent: true,
      retry_after_seconds: 3600,
    })
  })

  test('an unknown outcome is exit code 3 with a message', async () => {
    http.behaviour = { fault: 'breaks_the_connection' }
    const result = await smsTest([phone])
    expect(result).toMatchObject({ code: 3, stdout: '' })
    expect(result.stderr).toMatch(/^http: unavailable .*may have been sent; it is not sent again\.\n$/)
    expect([http.taken.length, aliyun.requests.length]).toEqual([1, 0])
  })

  test('an unreachable gateway is exit code 3 with the error of the system', async () => {
    const only = { HUFU_SMS: 'http', HUFU_SMS_HTTP_URL: `http://127.0.0.1:${await freePort()}` }
    const result = await smsTest([phone], only)
    expect(result).toMatchObject({ code: 3, stdout: '' })
    expect(result.stderr).toMatch(/^http: unavailable \(ECONNREFUSED\)\. /)
    expect(result.stderr).not.toContain('may have been sent')
  })

  test.each([
    '503',
    'number_invalid/13800005223',
    'misconfigured/hunter2 hunter2',
  ])('says nothing secret when the gateway says %s', async (refuse) => {
    http.behaviour = { refuse }
    const { code, stdout, stderr } = await smsTest([phone], { HUFU_SMS: 'http' })
    expect(code).not.toBe(0)
    for (const hidden of [phone, secret]) expect(stdout + stderr).not.toContain(hidden)
  })

  test('an impossible number calls no gateway', async () => {
    expect(await smsTest(['abc'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Enter a valid phone number \("abc"\)\. Use digits/),
    })
    expect([http.requests, aliyun.requests]).toEqual([[], []])
  })

  test('a driver without its settings calls no gateway', async () => {
    expect(await smsTest([phone], { HUFU_SMS: 'tencent' })).toMatchObject({
      code: 2,
      stderr:
        'HUFU_SMS is "tencent", but HUFU_SMS_TENCENT_SECRET_ID is not set: set it as docs/sms.md says, or use HUFU_SMS=console while you develop.\n',
    })
    expect([http.requests, aliyun.requests]).toEqual([[], []])
  })

  test('console prints the code to standard error', async () => {
    const result = await runCommand(['sms', 'test', phone], {})
    expect(result.code).toBe(0)
    expect(result.stderr).toMatch(/^\[短信 SMS\] \+86138\*\*\*\*5223 {2}您的验证码是 \d{6}，5 分钟内有效/)
    expect(result.stdout).toMatch(/^console accepted the message to \+86138\*\*\*\*5223 \(/)
  })
})

describe('doctor', () => {
  const database = { HUFU_DATABASE_URL: 'sqlite:./no-such-folder/hufu.db' }

  test('warns of console, and names the drivers in use without calling them', async () => {
    const byDefault = await runCommand(['doctor'], database)
    expect(byDefault.stdout).toMatch(/^! sms {8}console: codes are printed .*HUFU_SMS/m)
    const { stdout, code } = await runCommand(['doctor'], { ...database, ...environment })
    expect(stdout).toMatch(/^✓ sms {8}http, and aliyun where it surely did not send/m)
    expect([code, http.requests, aliyun.requests]).toEqual([0, [], []])
    expect(stdout).not.toContain(secret)
  })
})

test('the services of a server send with its settings and its clock', async () => {
  const gateway = await FakeGateway.start(
    // The clock of the services is fixed at this day; a gateway with the real clock would refuse it.
    httpGateway({ secret, now: () => Date.UTC(2026, 10, 22) }),
  )
  const more = { HUFU_SMS: 'http', HUFU_SMS_HTTP_URL: gateway.url, HUFU_SMS_HTTP_SECRET: secret }
  const [sqlite = expect.fail()] = databases
  const { url, drop } = await sqlite.create()
  const app = await startApp(url, { environment: more })
  try {
    const sent = await app.services.sms.send({
      to: '+8613800005223',
      template: 'code',
      code: '123456',
      minutes: 5,
    })
    expect(sent).toMatchObject({ outcome: 'sent', driver: 'http', gatewayId: 'own-1' })
  } finally {
    await app.close()
    await drop()
    await gateway.close()
  }
})
