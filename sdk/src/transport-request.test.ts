// The options that uni.request and wx.request get, and the forms of their responses.
import { describe, expect, test, vi } from 'vitest'
import {
  createClient,
  HufuError,
  type PlatformRequest,
  type RequestResult,
  requestTransport,
} from './client.ts'
import {
  type PlatformAnswer,
  type PlatformAsked,
  type PlatformServer,
  platforms,
} from './fake-mini-programs.ts'
import { baseUrl, done, issued, json, portal, problem, replaced, signedIn } from './fake-network.ts'
import { fakeUni, resultOf } from './fake-uni.ts'
import type { TransportRequest } from './transport.ts'

const request: TransportRequest = {
  method: 'POST',
  url: 'https://hufu.test/v1/sessions',
  headers: { accept: 'application/json' },
  body: '{"a":1}',
  timeoutMs: 1_000,
}

async function answerTo(result: RequestResult) {
  return await requestTransport(fakeUni(() => result).request)(request).answer
}

test('The platform gets text, returns text, and has a slightly longer deadline than the client', async () => {
  const uni = fakeUni(() => ({ statusCode: 204, data: '' }))
  await requestTransport(uni.request)(request).answer
  await requestTransport(uni.request)({ ...request, method: 'GET', body: null }).answer
  expect(uni.asked).toMatchObject([
    {
      url: 'https://hufu.test/v1/sessions',
      method: 'POST',
      header: { accept: 'application/json' },
      headers: { accept: 'application/json' },
      data: '{"a":1}',
      dataType: 'text',
      timeout: 2_000,
    },
    { method: 'GET' },
  ])
  expect(uni.asked[1]).not.toHaveProperty('data')
})

test.each([
  ['parsed JSON', { code: 'x', n: 1 }, '{"code":"x","n":1}'],
  ['JSON text', '{"code":"x"}', '{"code":"x"}'],
  ['another text', '<html>', '<html>'],
  ['nothing', undefined, ''],
  ['null', null, ''],
])('Data that is %s is text again', async (_name, data, text) => {
  expect((await answerTo({ statusCode: 200, data })).text).toBe(text)
})

test.each([
  ['in lower case', { header: { 'content-type': 'x/y' } }],
  ['as servers write it', { header: { 'Content-Type': 'x/y' } }],
  ['in upper case', { header: { 'CONTENT-TYPE': 'x/y' } }],
  ['of Alipay', { headers: { 'Content-Type': 'x/y' } }],
  ['in a list', { header: { 'Content-Type': ['x/y'] } }],
  ['in an object of its own', { headers: [{ Date: 'x' }, { 'Content-Type': 'x/y' }] }],
  ['by name and value', { headers: [{ name: 'Content-Type', value: 'x/y' }] }],
  ['by key and value', { headers: [{ key: 'Content-Type', value: 'x/y' }] }],
  ['beside an empty object', { header: {}, headers: { 'Content-Type': 'x/y' } }],
])('A header %s is found', async (_name, result) => {
  const answer = await answerTo({ statusCode: 200, ...result })
  expect(answer.header('content-type')).toBe('x/y')
  expect(answer.header('retry-after')).toBeNull()
})

test.each([
  [{ statusCode: 401 }, 401],
  [{ statusCode: '401' }, 401],
  [{ status: 503 }, 503],
  [{ error: 429 }, 429],
  [{ error: 19, status: 401 }, 401],
  [{ error: 12, status: 12, statusCode: 502 }, 502],
])('The status of %j is %d, and a failure that has one is an answer', async (result, status) => {
  expect((await answerTo(result)).status).toBe(status)
  const failing = requestTransport(({ fail }) => fail(result))
  expect((await failing(request).answer).status).toBe(status)
})

test.each([
  { errMsg: 'request:fail ', statusCode: 0 },
  { errMsg: 'request:fail', statusCode: -1 },
  { errMsg: 'request:ok', statusCode: undefined, header: undefined },
  { error: 12, errorMessage: 'no network' },
  { error: 9, status: 9 },
  { errCode: 202, errMsg: 'Baidu: the parameters are wrong' },
  {},
  null,
  undefined,
  'request:fail',
])('%j carries no HTTP status, so that it is no answer', async (result) => {
  for (const settle of ['success', 'fail'] as const) {
    // The results of platforms are wider than their types.
    const transport = requestTransport((options) => options[settle](result as RequestResult))
    await expect(transport(request).answer, settle).rejects.toBeInstanceOf(Error)
  }
})

test('A failed request is a network error, and keeps the platform’s message', async () => {
  const uni = fakeUni(() => 'fails')
  const client = createClient({ baseUrl, transport: requestTransport(uni.request), language: 'zh-CN' })
  const error = await client.signIn({ phoneNumber: '1', password: 'x' }).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(HufuError)
  expect(error).toMatchObject({ code: 'network', message: '网络不可用，请检查网络后重试' })
  expect(error).toHaveProperty('cause.message', 'request:fail ')
})

test('A request that takes too long is aborted', async () => {
  const uni = fakeUni(() => 'hangs')
  const client = createClient({ baseUrl, transport: requestTransport(uni.request), timeoutMs: 20 })
  const error = await client.signIn({ phoneNumber: '1', password: 'x' }).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'timeout' })
  expect(uni.aborted).toBe(1)
})

test.each([
  ['nothing', undefined],
  ['a promise', Promise.resolve()],
  ['a task without abort', {}],
])('A platform that gives %s for a task is not asked to abort', (_name, task) => {
  expect(() => requestTransport(() => task)(request).abort()).not.toThrow()
})

test('A refusal that the platform has parsed signs out with its reason', async () => {
  const results = [await resultOf(issued('1')), await resultOf(replaced())]
  const uni = fakeUni(() => results.shift() ?? 'fails')
  const client = createClient({ baseUrl, transport: requestTransport(uni.request) })
  const listener = vi.fn()
  client.onSignedOut(listener)
  await client.signIn({ phoneNumber: '1', password: 'x' })
  await client.me().catch(() => {})
  expect(listener.mock.calls).toMatchObject([[{ reason: 'replaced', byDevice: { name: '华为 Mate 60' } }]])
})

/** A client on the platform, and a server with one response until the test sets another. */
function clientOn(platform: (server: PlatformServer) => PlatformRequest) {
  let answer: PlatformAnswer | null = null
  const asked: PlatformAsked[] = []
  const request = platform((it) => {
    asked.push(it)
    return answer
  })
  const client = createClient({ baseUrl, language: 'zh-CN', transport: requestTransport(request) })
  const answers = async (response: Response | null) => {
    const headers = Object.fromEntries(response?.headers ?? [])
    answer = response && { status: response.status, headers, text: await response.text() }
  }
  return { client, asked, answers }
}

describe.each(Object.entries(platforms))('With %s', (_name, platform) => {
  const input = { phoneNumber: '12345678901', password: '123456' }

  test('201, 202 and 204 are successes, and the token is sent', async () => {
    const { client, asked, answers } = clientOn(platform)
    await answers(json(202, { resend_in: 60, expires_in: 300 }))
    const { resendIn } = await client.sendCode({ phoneNumber: '1', purpose: 'sign_in' })
    expect(resendIn.secondsLeft()).toBe(60)
    await answers(issued('1'))
    await client.signIn(input)
    expect(asked.at(-1)).toMatchObject({ body: expect.stringContaining('"123456"') })
    await answers(signedIn('1'))
    await client.me()
    expect(client.state).toMatchObject({ is: 'signed_in', verified: true })
    expect(asked.at(-1)).toMatchObject({ headers: { authorization: 'Bearer token-1' } })
    await answers(done())
    await client.resetPassword({ phoneNumber: '1', code: '1', newPassword: 'x' })
  })

  test('a wrong password is reported as such, not as a network error', async () => {
    const { client, answers } = clientOn(platform)
    await answers(problem(401, 'credentials_wrong'))
    const signingIn = client.signIn(input)
    await expect(signingIn).rejects.toMatchObject({ code: 'credentials_wrong', status: 401 })
  })

  test('a replaced session has ended, with its reason', async () => {
    const { client, answers } = clientOn(platform)
    await answers(issued('1'))
    await client.signIn(input)
    await answers(replaced())
    await expect(client.me()).rejects.toMatchObject({ code: 'session_replaced' })
    expect(client.state).toMatchObject({ is: 'signed_out', reason: 'replaced' })
  })

  test('neither an overloaded server nor a page of another server is mistaken', async () => {
    const { client, answers } = clientOn(platform)
    await answers(problem(503, 'overloaded'))
    await expect(client.signIn(input)).rejects.toMatchObject({ code: 'overloaded', status: 503 })
    await answers(portal(502))
    await expect(client.signIn(input)).rejects.toMatchObject({ code: 'not_hufu', status: 502 })
  })

  test('a missing network is reported as such, and keeps the client signed in', async () => {
    const { client, answers } = clientOn(platform)
    await answers(issued('1'))
    await client.signIn(input)
    await answers(null)
    await expect(client.me()).rejects.toMatchObject({ code: 'network', status: null })
    expect(client.state.is).toBe('signed_in')
  })
})
