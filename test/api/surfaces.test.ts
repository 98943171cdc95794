// Surfaces: the format of errors follows the path, and each surface has a document of its own.
import { connect } from 'node:net'
import fastify from 'fastify'
import { Type } from 'typebox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openApiDocument } from '../../sdk/scripts/document.ts'
import { bodyOf } from '../../src/http/checked-input.ts'
import { DescribedSurfaces } from '../../src/http/openapi.ts'
import { type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'

let app: RunningApp
let drop: () => Promise<void>

beforeAll(async () => {
  const fresh = await (databases[0] ?? expect.fail()).create()
  drop = fresh.drop
  app = await startApp(fresh.url)
})

afterAll(async () => {
  await app.close()
  await drop()
})

const json = { 'content-type': 'application/json' }

describe('outside of the four classic paths an error is a problem', () => {
  test.each([
    ['PUT', '/readyz', 405, 'method_not_allowed'],
    ['DELETE', '/livez', 405, 'method_not_allowed'],
    ['PUT', '/openapi.json', 405, 'method_not_allowed'],
    ['POST', '/docs', 405, 'method_not_allowed'],
    ['GET', '/.well-known/openid-configuration', 404, 'not_found'],
    ['GET', '/.well-known/jwks.json', 404, 'not_found'],
    ['GET', '/admin/accounts', 404, 'not_found'],
    ['POST', '/admin/accounts', 404, 'not_found'],
    ['GET', '/v2/session', 404, 'not_found'],
    ['GET', '/v1', 404, 'not_found'],
    ['GET', '/favicon.ico', 404, 'not_found'],
    ['GET', '/users', 404, 'not_found'],
    ['GET', '/user/', 404, 'not_found'],
    ['GET', '/login/x', 404, 'not_found'],
    ['GET', '/%zz', 400, 'bad_request'],
  ])('%s %s', async (method, path, status, code) => {
    const answer = await fetch(app.url + path, { method })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8')
    expect(await answer.json()).toEqual({
      type: `urn:hufu:problem:${code}`,
      title: expect.any(String),
      status,
      // mistakes.test.ts checks its words.
      ...(status !== 400 && { detail: expect.any(String) }),
      code,
      request_id: answer.headers.get('x-request-id'),
    })
  })

  test('in the language that the client prefers', async () => {
    const answer = await fetch(`${app.url}/v2`, { headers: { 'accept-language': 'zh-CN' } })
    expect(await answer.json()).toMatchObject({ title: '接口不存在' })
  })
})

describe('on the four classic paths an error is as in the tutorial', () => {
  test.each<[string, string, RequestInit, number, object]>([
    ['PUT', '/', {}, 405, { code: 0, message: '此接口不支持该请求方法' }],
    ['GET', '/login', {}, 405, { code: 0, message: '此接口不支持该请求方法' }],
    ['PATCH', '/user', {}, 405, { code: 0, message: '此接口不支持该请求方法' }],
    ['POST', '/logout', {}, 405, { code: 0, message: '此接口不支持该请求方法' }],
    [
      'POST',
      '/login',
      { headers: json, body: '{"phone_number":"12345678901"}' },
      400,
      { code: 0, message: '请求内容不符合要求：缺少 password' },
    ],
    ['POST', '/login', { headers: json, body: '{' }, 400, { code: 0, message: '请求体不是有效的 JSON' }],
    [
      'POST',
      '/login',
      { headers: json, body: `"${'x'.repeat(20_000)}"` },
      413,
      { code: 0, message: '请求体过大，上限 16 KiB' },
    ],
    [
      'POST',
      '/login',
      { headers: { 'content-type': 'text/plain' }, body: '{}' },
      415,
      { code: 0, message: '请求体必须是 application/json，且不能压缩' },
    ],
    ['GET', '/user', {}, 200, { code: 0, message: '需要验证' }],
    ['GET', '/user?x=%zz', { headers: { token: 'x' } }, 200, { code: 2, message: '验证信息错误' }],
    ['GET', '/%75ser', {}, 200, { code: 0, message: '需要验证' }],
    ['GET', '/logout', { headers: { token: 'x' } }, 200, { code: 2, message: '验证信息错误' }],
  ])('%s %s', async (method, path, init, status, body) => {
    const answer = await fetch(app.url + path, { method, ...init })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(await answer.json()).toEqual(body)
  })

  test('also to a WebSocket handshake', async () => {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
    socket.write('GET /user HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
    let text = ''
    for await (const chunk of socket) text += chunk
    expect(text).toMatch(/^HTTP\/1\.1 400 .*\{"code":0,"message":"请求格式错误"\}$/s)
  })
})

describe('documents', () => {
  const pathsOf = async (surface: string) => Object.keys((await app.server.described.of(surface)).paths ?? {})

  test('each surface has its own, with its own paths and kinds of token', async () => {
    const { described } = app.server
    expect((await pathsOf('classic')).toSorted()).toEqual(['/', '/login', '/logout', '/user'])
    expect((await pathsOf('health')).toSorted()).toEqual(['/livez', '/readyz'])
    expect((await pathsOf('v1')).length).toBeGreaterThan(10)
    expect((await pathsOf('v1')).filter((path) => !path.startsWith('/v1/'))).toEqual([])
    const schemesOf = async (surface: string) =>
      Object.keys((await described.of(surface)).components?.securitySchemes ?? {})
    expect(await schemesOf('v1')).toEqual(['token'])
    expect(await schemesOf('classic')).toEqual(['classicToken'])
    await expect(described.of('docs')).rejects.toThrow('has no document')
  })

  test('/openapi.json combines those that any client may call', async () => {
    const document = (await (await fetch(`${app.url}/openapi.json`)).json()) as { paths: object }
    const own = await Promise.all(['classic', 'v1', 'health'].map(pathsOf))
    expect(Object.keys(document.paths)).toEqual(own.flat())
  })

  test('every tag of a route has a description, and no other', async () => {
    const { paths, tags } = (await (await fetch(`${app.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, { tags: string[] }>>
      tags: { name: string }[]
    }
    const used = Object.values(paths).flatMap((item) => Object.values(item).flatMap(({ tags }) => tags))
    expect(tags.map(({ name }) => name).toSorted()).toEqual([...new Set(used)].toSorted())
  })

  test('their texts have the terms of docs/api.md: valid, create, ended, request', async () => {
    const texts: string[] = []
    JSON.parse(await (await fetch(`${app.url}/openapi.json`)).text(), (name, value: unknown) => {
      if (/^(description|summary)$/.test(name) && typeof value === 'string') texts.push(value)
      return value
    })
    expect(texts.length).toBeGreaterThan(150)
    const otherWords =
      /\b(good|told|tells?|strangers?|gone|makes? one|made|as if|is over|takes? it back|it is (you|me)|asks?|proves)\b/
    expect(texts.filter((text) => otherWords.test(text))).toEqual([])
  })

  test('the types of the SDK come from that of v1', async () => {
    const { paths = {}, components = {} } = await openApiDocument()
    expect(Object.keys(paths)).toEqual(await pathsOf('v1'))
    expect(Object.keys(components.securitySchemes ?? {})).toEqual(['token'])
  })

  test('two documents that define one name differently cannot be combined', async () => {
    const described = new DescribedSurfaces('0')
    const document = async (path: string) => ({ openapi: '3.1.0', info: {}, paths: { [path]: {} } })
    described.add('a', () => document('/a'))
    described.add('b', () => document('/b'))
    described.add('also a', () => document('/a'))
    const joined = await described.joined(['a', 'b', 'of no server'])
    expect(Object.keys(joined.paths ?? {})).toEqual(['/a', '/b'])
    await expect(described.joined(['a', 'also a'])).rejects.toThrow('a name in common')
  })
})

test('a handler that reads a body by another schema than its route checks gets nothing', async () => {
  const Checked = Type.Object({ a: Type.String() })
  const Other = Type.Object({ b: Type.String() })
  const server = fastify()
  server.post('/right', { schema: { body: Checked } }, async (request) => bodyOf(request, Checked).a)
  server.post('/wrong', { schema: { body: Checked } }, async (request) => bodyOf(request, Other).b)
  server.post('/none', async (request) => bodyOf(request, Checked).a)
  const statusOf = async (url: string) =>
    (await server.inject({ method: 'POST', url, payload: { a: 'x', b: 'y' } })).statusCode
  expect(await statusOf('/right')).toBe(200)
  expect(await statusOf('/wrong')).toBe(500)
  expect(await statusOf('/none')).toBe(500)
  await server.close()
})
