// What uni.request and wx.request get, and what is made of the many ways in which they answer.
import { expect, test, vi } from 'vitest'
import { createClient, HufuError, MethodUnavailable, type RequestResult, requestTransport } from './client.ts'
import { baseUrl, issued, replaced } from './fake-network.ts'
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

test('It is asked for text, with text, and for a little longer than the client waits', async () => {
  const uni = fakeUni(() => ({ statusCode: 204, data: '' }))
  await requestTransport(uni.request)(request).answer
  await requestTransport(uni.request)({ ...request, method: 'DELETE', body: null }).answer
  expect(uni.asked).toMatchObject([
    {
      url: 'https://hufu.test/v1/sessions',
      method: 'POST',
      header: { accept: 'application/json' },
      data: '{"a":1}',
      dataType: 'text',
      timeout: 2_000,
    },
    { method: 'DELETE' },
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
])('A header %s is found', async (_name, result) => {
  const answer = await answerTo({ statusCode: 200, ...result })
  expect(answer.header('content-type')).toBe('x/y')
  expect(answer.header('retry-after')).toBeNull()
})

test('The status is found under either of its names', async () => {
  expect((await answerTo({ statusCode: 401 })).status).toBe(401)
  expect((await answerTo({ status: 503 })).status).toBe(503)
})

test('A request that fails is a failure of the network, and keeps what the platform said', async () => {
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

test.each([
  ['PATCH', 'request:fail method is invalid'],
  ['PUT', 'request:fail parameter error: parameter.method should be GET or POST'],
  ['DELETE', '不支持 DELETE'],
] as const)('A platform without %s says so, in a code of its own', async (method, errMsg) => {
  const transport = requestTransport(({ fail }) => fail({ errMsg }))
  await expect(transport({ ...request, method }).answer).rejects.toBeInstanceOf(MethodUnavailable)
  const throwing = requestTransport(() => {
    throw new Error(errMsg)
  })
  await expect(throwing({ ...request, method }).answer).rejects.toBeInstanceOf(MethodUnavailable)
})

test('The client tells of a method that is not there, in words, and stays signed in', async () => {
  const uni = fakeUni(() => 'hangs')
  const first = await resultOf(issued('1'))
  const client = createClient({
    baseUrl,
    language: 'zh-CN',
    transport: requestTransport((options) => {
      // What platforms are given is wider than their types.
      if (String(options.method) === 'PATCH') options.fail({ errMsg: 'request:fail method is invalid' })
      else options.success(first)
      return uni
    }),
  })
  await client.signIn({ phoneNumber: '1', password: 'x' })
  const error = await client.updateAccount({ nickname: 'x' }).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({
    code: 'method_unavailable',
    message: '此平台不支持这种请求，请在其他设备上操作',
  })
  expect(client.state.is).toBe('signed_in')
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
