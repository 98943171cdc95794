// Bad input: each kind gets its exact refusal and writes nothing, and the server continues.

import { STATUS_CODES } from 'node:http'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ErrorCode } from '../../src/errors.ts'
import { noOrigin } from '../../src/events/events.ts'
import { publicErrors } from '../../src/http/problem.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases, type FreshDatabase } from '../support/databases.ts'
import { type Bytes, type Reply, send } from '../support/raw-http.ts'

interface Row {
  readonly name: string
  /** The bytes for the socket, or a function that makes them from the token of a live session. */
  readonly request: Bytes | ((token: string) => Bytes)
  readonly status: number
  /** The JSON of the response without `request_id`, or its text. */
  readonly body: unknown
  readonly headers?: Record<string, unknown>
  /** The response to bytes that are not HTTP. */
  readonly isBelow?: true
}

const json = 'content-type: application/json\r\n'

function get(path: string, headers = '', method = 'GET'): string {
  return `${method} ${path} HTTP/1.1\r\nhost: hufu.test\r\nconnection: close\r\n${headers}\r\n`
}

function post(path: string, body: Bytes, headers = json): Buffer {
  const bytes = Buffer.from(body)
  return Buffer.concat([
    Buffer.from(get(path, `${headers}content-length: ${bytes.length}\r\n`, 'POST')),
    bytes,
  ])
}

/** A POST whose length, end and body are given by the row. */
function postRaw(path: string, headers: string, body = ''): string {
  return get(path, json + headers, 'POST') + body
}

function bearer(token: string): string {
  return `authorization: Bearer ${token}\r\n`
}

const isAdvised = /^(unsupported_media_type|invalid_json|not_found|method_not_allowed|code_wrong)$/

function problem(code: ErrorCode, facts: object = {}) {
  const { status, en } = publicErrors[code]
  // mistakes.test.ts checks its words.
  const detail = isAdvised.test(code) ? { detail: expect.any(String) } : {}
  return { type: `urn:hufu:problem:${code}`, title: en, status, code, ...detail, ...facts }
}

/** The test "names the field" below checks its words and allowed values. */
function field(pointer: string, what: string) {
  const allowed = what === 'is_not_one_of_the_allowed' ? { allowed: expect.any(Array) } : {}
  const fields = [{ pointer, problem: what, ...allowed }]
  return problem('invalid_request', { detail: expect.stringMatching(/\.$/), fields })
}

const failed = (message: string) => ({ code: 0, message })
const noToken = failed('需要验证')
const badToken = { code: 2, message: '验证信息错误' }
const invalidJson = failed('请求体不是有效的 JSON')
const noUser = failed('没有此用户')
const wrongPassword = failed('密码错误')
const mediaType = failed('请求体必须是 application/json，且不能压缩')
const tooLarge = failed('请求体过大，上限 16 KiB')
const notThisMethod = failed('此接口不支持该请求方法')

function belowHttp(status: number) {
  const title = STATUS_CODES[status]
  return { type: 'urn:hufu:problem:bad_request', title, status, code: 'bad_request' }
}

const guest = '13800005223'
const valid = { phone_number: guest, password: person.password }
const validText = JSON.stringify(valid)

/** The same bad request to both sign-ins. A classic status of 200 is the tutorial's `code` 0. */
function onBoth(
  name: string,
  request: (path: string) => Bytes,
  classic: readonly [status: number, body: unknown],
  v1: { status: number },
): Row[] {
  return [
    { name: `${name}, classic`, request: request('/login'), status: classic[0], body: classic[1] },
    { name: `${name}, v1`, request: request('/v1/sessions'), status: v1.status, body: v1 },
  ]
}

const unreadable = (name: string, body: Bytes) =>
  onBoth(name, (path) => post(path, body), [400, invalidJson], problem('invalid_json'))

// 1, 2, 8, 15: bytes that are not JSON in UTF-8, or not one JSON text.
const brokenJson: Row[] = [
  ...unreadable('a body that breaks off', '{"phone_number":'),
  ...unreadable('a trailing comma', `${validText.slice(0, -1)},}`),
  ...unreadable('single quotes', validText.replaceAll('"', "'")),
  ...unreadable('a comment', `/* x */${validText}`),
  ...unreadable('a byte order mark', `\uFEFF${validText}`),
  ...unreadable('NaN', '{"phone_number":NaN,"password":"123456"}'),
  ...unreadable('Infinity', '{"phone_number":Infinity,"password":"123456"}'),
  ...unreadable('a number with a leading zero', '{"phone_number":012345678901,"password":"123456"}'),
  ...unreadable('two values', `${validText}${validText}`),
  ...unreadable('half a character', `{"phone_number":"\\ud800","password":"${person.password}"}`),
  ...unreadable('half a character in an unknown key', `${validText.slice(0, -1)},"\\udc00":1}`),
  ...unreadable('half a character deep inside', `${validText.slice(0, -1)},"x":[[{"y":["\\uD800"]}]]}`),
  ...unreadable('an empty body', ''),
  ...unreadable('white space alone', ' \r\n\t '),
  ...unreadable('a NUL byte alone', '\0'),
  ...unreadable('invalid UTF-8', Buffer.from('{"phone_number":"\xc3\x28","password":"x"}', 'latin1')),
  ...unreadable('an overlong slash', Buffer.from('{"phone_number":"\xc0\xaf","password":"x"}', 'latin1')),
  ...unreadable('UTF-16', Buffer.from(validText, 'utf16le')),
  ...unreadable('a key __proto__', `{"__proto__":{"polluted":true},${validText.slice(1)}`),
  ...unreadable('a key __proto__ in disguise', `{"\\u005f_proto__":{"polluted":true},${validText.slice(1)}`),
  ...unreadable('a key __proto__ inside', `${validText.slice(0, -1)},"device":{"__proto__":{"polluted":1}}}`),
  ...unreadable('constructor.prototype', `{"constructor":{"prototype":{"x":1}},${validText.slice(1)}`),
]

// 3, 4, 8, 10: JSON of another type. No value is converted.
function wrongType(name: string, body: string, pointer: string): Row[] {
  const classic = failed(`请求内容不符合要求：${pointer.slice(1) || 'JSON'} 类型错误`)
  return onBoth(name, (path) => post(path, body), [400, classic], field(pointer, 'has_wrong_type'))
}

const otherKinds: [string, string][] = [
  ['null', 'null'],
  ['a list', '[]'],
  ['text', '"x"'],
  ['a number', '1'],
  ['true', 'true'],
  ['8000 lists in each other', '['.repeat(8000) + ']'.repeat(8000)],
]
const otherValues: [string, string][] = [
  ['a number', '13800005223'],
  ['a negative zero', '-0'],
  ['a number beyond 2^53', '9007199254740993'],
  ['a number beyond all', '1e400'],
  ['a number of 400 digits', '1'.repeat(400)],
  ['true', 'true'],
  ['null', 'null'],
  ['a list of one', '["13800005223"]'],
  ['an object', '{}'],
  ['a database operator', '{"$ne":1}'],
]
const kinds: Row[] = [
  ...otherKinds.flatMap(([name, body]) => wrongType(`${name} as body`, body, '')),
  ...otherValues.flatMap(([name, value]) => [
    ...wrongType(`${name} as phone_number`, `{"phone_number":${value},"password":"x"}`, '/phone_number'),
    ...wrongType(`${name} as password`, `{"phone_number":"${guest}","password":${value}}`, '/password'),
  ]),
  ...['phone_number', 'password'].flatMap((missing) =>
    onBoth(
      `no ${missing}`,
      (path) => post(path, JSON.stringify({ ...valid, [missing]: undefined })),
      [400, failed(`请求内容不符合要求：缺少 ${missing}`)],
      field(`/${missing}`, 'is_missing'),
    ),
  ),
]

// 6, 7, 16, 25, 26: fields of v1 that do not exist, or have another form.
function refusedField(name: string, extra: object, pointer: string, what: string): Row {
  const body = JSON.stringify({ ...valid, ...extra })
  return { name, request: post('/v1/sessions', body), status: 422, body: field(pointer, what) }
}

const unknownKeys = ['role', 'id', 'epoch', 'phone_verified', 'constructor', 'toString', 'hasOwnProperty']
const hidden: [string, string][] = [
  ['NUL', '\0'],
  ['a line feed', '\n'],
  ['CR LF', '\r\nset-cookie: a=b'],
  ['ESC', '\u001b[31m'],
  ['DEL', '\u007f'],
  ['a C1 control', '\u009b'],
  ['a line separator', '\u2028'],
  ['a right-to-left override', '\u202e'],
  ['a direction isolate', '\u2066'],
  ['a zero-width space', '\u200b'],
  ['a byte order mark', '\ufeff'],
  ['an Arabic letter mark', '\u061c'],
  ['a Hangul filler', '\u3164'],
  ['tags that hide a text', '\u{e0041}\u{e0042}'],
]
const fields: Row[] = [
  ...unknownKeys.map((key) => refusedField(`a field ${key}`, { [key]: 1 }, `/${key}`, 'is_unknown')),
  refusedField('a field whose name a pointer must escape', { 'a/b~c': 1 }, '/a~1b~0c', 'is_unknown'),
  refusedField('a field with a long name', { ['x'.repeat(900)]: 1 }, `/${'x'.repeat(64)}`, 'is_unknown'),
  refusedField(
    'a field of the device that is unknown',
    { device: { push: 1 } },
    '/device/push',
    'is_unknown',
  ),
  refusedField('a device that is null', { device: null }, '/device', 'has_wrong_type'),
  refusedField('a device that is a list', { device: [] }, '/device', 'has_wrong_type'),
  refusedField('a device that is text', { device: 'ios' }, '/device', 'has_wrong_type'),
  ...['classic', 'IOS', 'windows', '', null, 1, ['ios']].map((platform) =>
    refusedField(
      `a platform ${JSON.stringify(platform)}`,
      { device: { platform } },
      '/device/platform',
      typeof platform === 'string' ? 'is_not_one_of_the_allowed' : 'has_wrong_type',
    ),
  ),
  ...hidden.flatMap(([name, text]) => [
    refusedField(
      `${name} in a device's name`,
      { device: { name: `a${text}b` } },
      '/device/name',
      'has_wrong_form',
    ),
    refusedField(`${name} in a device's id`, { device: { id: `a${text}b` } }, '/device/id', 'has_wrong_form'),
    refusedField(
      `${name} in an app's version`,
      { device: { app_version: `1${text}` } },
      '/device/app_version',
      'has_wrong_form',
    ),
  ]),
  refusedField("a device's id that is not ASCII", { device: { id: 'é' } }, '/device/id', 'has_wrong_form'),
  refusedField("a device's id with a space", { device: { id: 'a b' } }, '/device/id', 'has_wrong_form'),
  refusedField(
    "a device's id of 129 characters",
    { device: { id: 'a'.repeat(129) } },
    '/device/id',
    'is_too_long',
  ),
  refusedField(
    "a device's name of 65 characters",
    { device: { name: '虎'.repeat(65) } },
    '/device/name',
    'is_too_long',
  ),
  refusedField(
    'a name of combining marks',
    { device: { name: '\u0301'.repeat(5000) } },
    '/device/name',
    'is_too_long',
  ),
  ...['\u3164', '\u115f \uffa0', '\u2800', '\u034f', '\ufe0f'].flatMap((text) => [
    refusedField(
      `a name that looks empty: ${encodeURIComponent(text)}`,
      { device: { name: text } },
      '/device/name',
      'has_wrong_form',
    ),
    refusedField(
      `a nickname that looks empty: ${encodeURIComponent(text)}`,
      { nickname: text },
      '/nickname',
      'has_wrong_form',
    ),
  ]),
  refusedField('an empty name', { device: { name: '' } }, '/device/name', 'is_too_short'),
  refusedField(
    'a number as app version',
    { device: { app_version: 2 } },
    '/device/app_version',
    'has_wrong_type',
  ),
]

// 9, 11: too large or too deep.
const limit = 16 * 1024
const padded = (bytes: number) => validText + ' '.repeat(bytes - validText.length)
const large = (name: string, request: (path: string) => Bytes) =>
  onBoth(name, request, [413, tooLarge], problem('body_too_large'))
const tooMuch: Row[] = [
  ...large('one byte over the limit', (path) => post(path, padded(limit + 1))),
  ...large('a million keys', (path) =>
    postRaw(
      path,
      'content-length: 9000000\r\n',
      `{${Array.from({ length: 500 }, (_, i) => `"k${i}":1,`).join('')}`,
    ),
  ),
  ...large('a password of 10 MB', (path) =>
    postRaw(path, 'content-length: 10000000\r\n', '{"phone_number":"13800005223","password":"'),
  ),
  ...large('10 GB announced, then nothing', (path) => postRaw(path, 'content-length: 10000000000\r\n')),
  ...large('10 GB announced by a client that waits to be asked', (path) =>
    postRaw(path, 'expect: 100-continue\r\ncontent-length: 10000000000\r\n'),
  ),
  ...large('chunks without an end', (path) =>
    postRaw(path, 'transfer-encoding: chunked\r\n', `4400\r\n${' '.repeat(0x4400)}\r\n`),
  ),
]

// 13, 14: the declared type of a body.
const bodyWith = (headers: string) => (path: string) => post(path, validText, headers)
const mediaTypes: Row[] = [
  ['no content type', ''],
  ['an empty content type', 'content-type:\r\n'],
  ['text/plain', 'content-type: text/plain\r\n'],
  ['a form', 'content-type: application/x-www-form-urlencoded\r\n'],
  ['a multipart form', 'content-type: multipart/form-data; boundary=x\r\n'],
  ['text/json', 'content-type: text/json\r\n'],
  ['a kind of JSON', 'content-type: application/problem+json\r\n'],
  ['application/jsonx', 'content-type: application/jsonx\r\n'],
  ['words behind the type', 'content-type: application/json garbage\r\n'],
  ['a tab behind the type', 'content-type: application/json\tx\r\n'],
  ['two types in one', 'content-type: application/json, application/json\r\n'],
  ['two content types, the second right', 'content-type: text/plain\r\ncontent-type: application/json\r\n'],
  ['charset=utf-16', 'content-type: application/json; charset=utf-16\r\n'],
  ['charset=gbk', 'content-type: application/json;charset="gbk"\r\n'],
  ['gzip', `${json}content-encoding: gzip\r\n`],
  ['br', `${json}content-encoding: br\r\n`],
  ['deflate', `${json}content-encoding: deflate\r\n`],
  ['zstd', `${json}content-encoding: zstd\r\n`],
  ['gzip in gzip', `${json}content-encoding: gzip, gzip\r\n`],
].flatMap(([name = '', headers = '']) =>
  onBoth(name, bodyWith(headers), [415, mediaType], problem('unsupported_media_type')),
)

// 17, 18, 19, 20: values that are no phone number.
const notNumbers: Row[] = [
  ['Arabic-Indic digits', '١٣٨٠٠٠٠٥٢٢٣'],
  ['a NUL behind', `${guest}\0`],
  ['a tel: URL', `tel:${guest}`],
  ['an extension', `${guest};ext=5`],
  ['an extension in words', `${guest} ext. 5`],
  ['a letter behind', `${guest}x`],
  ['letters for digits', '1-800-FLOWERS'],
  ['a country that does not exist', '+99913800005223'],
  ['a country code 0', '+013800005223'],
  ['an emergency number', '110'],
  ['one digit', '1'],
  ['too many digits', '1380000522311111'],
  ['a minus', '-13800005223'],
  ['an exponent', '1.3800005223e10'],
  ['SQL', "' or 1=1 --"],
].flatMap(([name = '', phone = '']) =>
  onBoth(
    `a phone number with ${name}`,
    (path) => post(path, JSON.stringify({ ...valid, phone_number: phone })),
    [200, noUser],
    problem('phone_number_invalid', {
      detail: expect.any(String),
      fields: [{ pointer: '/phone_number', problem: expect.any(String) }],
    }),
  ),
)

// 24: passwords. None is truncated or converted into the right one.
const wrong = problem('credentials_wrong')
const passwords: Row[] = (
  [
    ['empty', '', field('/password', 'is_too_short')],
    ['of one character', '1', wrong],
    ['of 257 characters', 'a'.repeat(257), field('/password', 'is_too_long')],
    ['of spaces', '        ', wrong],
    ['with a space behind', `${person.password} `, wrong],
    ['with a NUL and more behind', `${person.password}\0x`, wrong],
    ['of 256 emoji', '😀'.repeat(256), wrong],
  ] as const
).flatMap(([name, password, v1]) =>
  onBoth(
    `a password ${name}`,
    (path) => post(path, JSON.stringify({ ...valid, password })),
    [200, wrongPassword],
    v1,
  ),
)

const shortNumber: Row = {
  name: 'an empty phone number, v1',
  request: post('/v1/sessions', JSON.stringify({ ...valid, phone_number: '' })),
  status: 422,
  body: field('/phone_number', 'is_too_short'),
}
const longNumber: Row = {
  name: 'a phone number of 65 characters, v1',
  request: post('/v1/sessions', JSON.stringify({ ...valid, phone_number: '1'.repeat(65) })),
  status: 422,
  body: field('/phone_number', 'is_too_long'),
}

// 28, 29, 30: credentials of v1.
const invalidToken = { 'www-authenticate': 'Bearer error="invalid_token"' }
function unknownToken(name: string, request: Row['request']): Row {
  // None of them has the form of a token.
  const detail = 'This is not a whole token.'
  return { name, request, status: 401, body: problem('token_unknown', { detail }), headers: invalidToken }
}
function missingToken(name: string, request: Row['request']): Row {
  return {
    name,
    request,
    status: 401,
    body: problem('token_missing'),
    headers: { 'www-authenticate': 'Bearer' },
  }
}
/** A token that was sent in another way: the response explains how to send it. */
function missingScheme(name: string, request: Row['request']): Row {
  const detail = expect.stringMatching(
    /Send Authorization: Bearer <token>\.$|^There is no token after Bearer\./,
  )
  return { ...missingToken(name, request), body: problem('token_missing', { detail }) }
}
const ask = (headers: string) => get('/v1/session', headers)
const credentials: Row[] = [
  missingToken('no Authorization', ask('')),
  missingToken('an empty Authorization', ask('authorization:\r\n')),
  missingToken('a token in a cookie', (token) => ask(`cookie: token=${token}\r\n`)),
  missingScheme('a token in the classic header', (token) => ask(`token: ${token}\r\n`)),
  missingScheme('Bearer alone', ask('authorization: Bearer\r\n')),
  missingScheme('Bearer and a space', ask('authorization: Bearer \r\n')),
  {
    name: 'two spaces',
    request: (token) => ask(`authorization: Bearer  ${token}\r\n`),
    status: 200,
    body: expect.objectContaining({ session: expect.anything() }),
  },
  missingScheme('a tab', (token) => ask(`authorization: Bearer\t${token}\r\n`)),
  missingScheme('Basic', ask('authorization: Basic aGY6aGY=\r\n')),
  missingScheme('Token', (token) => ask(`authorization: Token ${token}\r\n`)),
  missingScheme('no scheme', (token) => ask(`authorization: ${token}\r\n`)),
  unknownToken('a list', (token) => ask(`authorization: Bearer ${token}, Bearer ${token}\r\n`)),
  unknownToken('a token that is not ASCII', ask('authorization: Bearer h\u00ff\r\n')),
  unknownToken('a token with a dot behind', (token) => ask(bearer(`${token}.`))),
  unknownToken('a token without its prefix', (token) => ask(bearer(token.slice(3)))),
  unknownToken('a token that is cut', (token) => ask(bearer(token.slice(0, -1)))),
  unknownToken('a token in capitals', (token) => ask(bearer(token.toUpperCase()))),
  unknownToken('a quoted token', (token) => ask(bearer(`"${token}"`))),
  unknownToken('a JWT', ask(bearer('eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.'))),
  unknownToken('a token of 15 000 characters', ask(bearer('a'.repeat(15_000)))),
  unknownToken('Authorization named as hop-by-hop', ask(`connection: authorization\r\n${bearer('x')}`)),
  {
    name: 'two Authorization headers',
    request: (token) => ask(bearer(token) + bearer('hf_other')),
    status: 400,
    body: problem('credentials_conflict'),
  },
  ...['token', 'access_token'].map((key) => ({
    name: `a token in the query as ${key}`,
    request: (token: string) => get(`/v1/session?${key}=${token}`, bearer(token)),
    status: 400,
    body: problem('token_in_url'),
  })),
  {
    name: 'a client without a token and with a bad body is asked for the token first',
    request: get('/v1/session', `${json}content-length: 1\r\n`, 'DELETE'),
    status: 401,
    body: problem('token_missing'),
  },
  {
    name: 'a bad token on a classic route',
    request: get('/user', 'token: x\r\n'),
    status: 200,
    body: badToken,
  },
  {
    name: 'two classic tokens',
    request: (token) => get('/user', `token: ${token}\r\ntoken: ${token}\r\n`),
    status: 200,
    body: badToken,
  },
]

// 12, 33, 34, 35, 36, 48: bytes that are not HTTP. The start of the next request is unknown, so the
// connection ends.
function noHttp(name: string, request: Bytes, status = 400): Row {
  return { name, request, status, body: belowHttp(status), isBelow: true }
}
/** What Node's parser accepts, and no route gets. The connection ends as well. */
function wrongHead(name: string, request: Row['request'], detail: RegExp): Row {
  const body = problem('bad_request', { detail: expect.stringMatching(detail) })
  return { name, request, status: 400, body, headers: { connection: 'close' } }
}
const framing = (name: string, headers: string, body = '') => noHttp(name, postRaw('/login', headers, body))
const belowTheRoutes: Row[] = [
  framing(
    'Content-Length and Transfer-Encoding',
    'content-length: 5\r\ntransfer-encoding: chunked\r\n',
    '0\r\n\r\n',
  ),
  framing('two Content-Lengths', 'content-length: 5\r\ncontent-length: 6\r\n', '12345'),
  framing('a Content-Length that is negative', 'content-length: -1\r\n'),
  framing('a Content-Length that is no number', 'content-length: 0x10\r\n'),
  framing('a Transfer-Encoding that is unknown', 'transfer-encoding: xchunked\r\n', '0\r\n\r\n'),
  framing(
    'Transfer-Encoding twice',
    'transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n',
    '0\r\n\r\n',
  ),
  framing('a chunk size beyond all', 'transfer-encoding: chunked\r\n', 'fffffffffffffffff\r\nab\r\n'),
  framing('a chunk size that is no number', 'transfer-encoding: chunked\r\n', 'zz\r\nab\r\n'),
  framing(
    '20 KB behind a chunk size',
    'transfer-encoding: chunked\r\n',
    `1;${'a'.repeat(20_000)}\r\nx\r\n0\r\n\r\n`,
  ),
  noHttp('line feeds alone', post('/login', validText).toString().replaceAll('\r\n', '\n')),
  {
    // The announced part is answered; the rest would be the next request, and is not one.
    name: 'a body longer than announced',
    request: post('/login', validText)
      .toString()
      .replace(/length: \d+/, 'length: 2'),
    status: 400,
    body: invalidJson,
  },
  noHttp('a space in a header name', get('/user', 'x y: z\r\n')),
  noHttp('a folded header', get('/user', 'a: b\r\n c\r\n')),
  noHttp('a NUL in a header', get('/user', 'a: b\0c\r\n')),
  noHttp('a CR in a header', get('/user', 'a: b\rc\r\n')),
  noHttp('a header without a colon', get('/user', 'abc\r\n')),
  noHttp('a control character in the path', get('/\u001b[31m')),
  noHttp('a path that is not ASCII', get('/虎符')),
  noHttp('a backslash for a path', get('\\user')),
  noHttp('a method in small letters', get('/user', '', 'get')),
  noHttp('a method that does not exist', get('/user', '', 'FOO')),
  noHttp('HTTP/9.9', get('/user').replace('HTTP/1.1', 'HTTP/9.9')),
  noHttp('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  noHttp('the start of TLS', Buffer.from('160301020001000001fc0303', 'hex')),
  noHttp('headers of 17 KB', get('/user', `a: ${'x'.repeat(17_000)}\r\n`), 431),
  noHttp('a token of 64 KB', get('/v1/session', bearer('a'.repeat(65_536))), 431),
  noHttp('a path of 17 KB', get(`/${'a'.repeat(17_000)}`), 431),
  noHttp('2001 headers', get('/user', Array.from({ length: 2001 }, (_, i) => `h${i}: x\r\n`).join('')), 431),
  wrongHead('no Host', 'GET /user HTTP/1.1\r\nconnection: close\r\n\r\n', /Host/),
  wrongHead(
    'no Host, and a token that is known',
    (token) => `GET /user HTTP/1.1\r\nconnection: close\r\ntoken: ${token}\r\n\r\n`,
    /Host/,
  ),
  wrongHead(
    'an expectation that no server can meet',
    postRaw('/login', 'expect: 200-ok\r\ncontent-length: 0\r\n'),
    /100-continue/,
  ),
  wrongHead(
    'an expectation of a body that never comes',
    postRaw('/login', 'expect: 100-continue, 200-ok\r\ncontent-length: 9\r\n'),
    /100-continue/,
  ),
  wrongHead(
    'an expectation, and a token that is known',
    (token) => get('/user', `expect: 200-ok\r\ntoken: ${token}\r\n`),
    /100-continue/,
  ),
  // Also where the rest is an address of a route: a proxy's rules for that one do not apply to this one.
  ...['*', '*user', '*v1/account', '*docs/', '*nothing', 'ftp://evil.test/user', 'x://user'].map((target) =>
    wrongHead(
      `the target ${target}`,
      (token) => get(target, `token: ${token}\r\n${bearer(token)}`),
      /begin with \//,
    ),
  ),
  wrongHead('a target like a path of a sign-in', post('*login', validText), /begin with \//),
  wrongHead(
    'a target like a path of a preflight',
    get('*v1/sessions', 'origin: http://evil.test\r\naccess-control-request-method: POST\r\n', 'OPTIONS'),
    /begin with \//,
  ),
  noHttp('CONNECT', 'CONNECT evil.test:443 HTTP/1.1\r\nhost: evil.test\r\n\r\n'),
]

// 42: paths in another spelling.
const paths: Row[] = [
  ...[
    '/nothing',
    '//user',
    '//v1/session',
    '/V1/SESSION',
    '/USER',
    '/user/',
    '/login/',
    '/user;a=b',
    '/user%00',
    '/%2e%2e/user',
    '/x/../user',
    '/docs/../user',
    '/docs/nothing',
  ].map((path) => ({ name: `GET ${path}`, request: get(path), status: 404, body: problem('not_found') })),
  ...[
    '/v1',
    '/v1/nothing',
    '/v1//session',
    '/v1/./session',
    '/v1/x/../session',
    '/v1/%2e%2e/user',
    '/v1/session/',
    '/v1/SESSION',
    '/v1/session;a=b',
    '/v1%2fsession',
    '/v1/session%00',
    '/v1/session%2520',
  ].map((path) => ({
    name: `GET ${path}`,
    request: get(path, bearer('x')),
    status: 404,
    body: problem('not_found'),
  })),
  // The body of a request to an unknown path is not checked.
  { name: 'POST /nothing', request: post('/nothing', 'x', ''), status: 404, body: problem('not_found') },
  { name: 'POST /v1/nothing', request: post('/v1/nothing', '{'), status: 404, body: problem('not_found') },
  { name: 'GET /%zz', request: get('/%zz'), status: 400, body: problem('bad_request') },
  { name: 'GET /%ff', request: get('/%ff'), status: 400, body: problem('bad_request') },
  { name: 'GET /v1/%zz', request: get('/v1/%zz'), status: 400, body: problem('bad_request') },
  {
    name: 'DELETE /v1/sessions/%ff',
    request: (token) => get('/v1/sessions/%ff', bearer(token), 'DELETE'),
    status: 400,
    body: problem('bad_request'),
  },
  {
    name: 'DELETE /v1/sessions/<201 characters>',
    request: (token) => get(`/v1/sessions/${'a'.repeat(201)}`, bearer(token), 'DELETE'),
    status: 404,
    body: problem('not_found'),
  },
  // RFC 9112, section 3.2.2: a server must accept the absolute form. It is the same route, with the same
  // hooks.
  missingToken('an absolute URL', get('http://evil.test/v1/session')),
  missingToken('an escaped letter in the path', get('/%761/session')),
  missingToken('an escaped letter in the path, sign out', get('/%761/session', '', 'DELETE')),
  { name: 'an absolute URL, classic', request: get('http://evil.test/user'), status: 200, body: noToken },
  { name: 'an escaped letter, classic', request: get('/%75ser'), status: 200, body: noToken },
  { name: 'a bad escape in the query', request: get('/user?x=%zz'), status: 200, body: noToken },
  {
    name: 'an escaped letter in the path of a sign-in',
    request: post('/%761/sessions', '{}'),
    status: 422,
    body: field('/phone_number', 'is_missing'),
  },
]

// 44: the only query. A misspelt query must not end a session.
function refusedQuery(name: string, query: string, pointer: string, what: string): Row {
  const request = (token: string) => get(`/v1/sessions?${query}`, bearer(token), 'DELETE')
  return { name: `a query ${name}`, request, status: 422, body: field(pointer, what) }
}
const queries: Row[] = [
  refusedQuery('with another value', 'all=1', '/all', 'is_not_one_of_the_allowed'),
  refusedQuery('with another case', 'all=TRUE', '/all', 'is_not_one_of_the_allowed'),
  refusedQuery('without a value', 'all', '/all', 'is_not_one_of_the_allowed'),
  refusedQuery('with two values', 'all=true&all=true', '/all', 'has_wrong_type'),
  refusedQuery('that would be a list elsewhere', 'all[]=true', '/all[]', 'is_unknown'),
  refusedQuery('with a prototype', '__proto__[all]=true', '/__proto__[all]', 'is_unknown'),
  refusedQuery('with __proto__', '__proto__=true', '/__proto__', 'is_unknown'),
  refusedQuery('with a limit', 'limit=-1', '/limit', 'is_unknown'),
  refusedQuery('of 1,000 parameters', 'a=b&'.repeat(1000), '/a', 'is_unknown'),
  noHttp('a query of 64 KB', get(`/v1/sessions?${'a'.repeat(65_536)}`, '', 'DELETE'), 431),
]

// 47: ids of sessions.
const noSession = problem('session_not_found')
const ids: Row[] = [
  '0',
  '-1',
  'null',
  "'",
  "x'%20or%20'1'='1",
  '%2e%2e%2f',
  '1'.repeat(40),
  'a'.repeat(22),
  '%00',
  'a%00b',
  '*',
  'a'.repeat(65),
  '%20',
  '虎符'.length.toString(),
].map((id) => ({
  name: `DELETE /v1/sessions/${id.length > 40 ? `<${id.length} characters>` : id}`,
  request: (token: string) => get(`/v1/sessions/${id}`, bearer(token), 'DELETE'),
  status: 404,
  body: noSession,
}))

// 48: methods.
function refusedMethod(method: string, path: string, allow: string): Row {
  const isClassic = ['/', '/login', '/user', '/logout'].includes(path)
  const body = method === 'HEAD' ? '' : isClassic ? notThisMethod : problem('method_not_allowed')
  return { name: `${method} ${path}`, request: get(path, '', method), status: 405, body, headers: { allow } }
}
const methods: Row[] = [
  ...['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY'].map((method) =>
    refusedMethod(method, '/login', 'POST'),
  ),
  ...['HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'].map((method) =>
    refusedMethod(method, '/user', 'GET'),
  ),
  ...['HEAD', 'POST', 'DELETE'].map((method) => refusedMethod(method, '/logout', 'GET')),
  ...['POST', 'DELETE', 'OPTIONS'].map((method) => refusedMethod(method, '/', 'GET, HEAD')),
  ...['HEAD', 'PUT', 'PATCH', 'OPTIONS', 'TRACE'].map((method) =>
    refusedMethod(method, '/v1/sessions', 'DELETE, GET, POST'),
  ),
  ...['HEAD', 'POST', 'PUT', 'OPTIONS', 'QUERY'].map((method) =>
    refusedMethod(method, '/v1/session', 'DELETE, GET'),
  ),
  ...['GET', 'HEAD', 'POST', 'PUT'].map((method) => refusedMethod(method, '/v1/sessions/x', 'DELETE')),
  ...['GET', 'DELETE', 'PATCH'].map((method) => refusedMethod(method, '/v1/session/end', 'POST')),
  ...['GET', 'DELETE'].map((method) => refusedMethod(method, '/v1/sessions/end', 'POST')),
  refusedMethod('POST', '/v1/account', 'DELETE, GET, PATCH'),
  refusedMethod('GET', '/v1/account/password', 'POST, PUT'),
  ...['PUT', 'POST', 'OPTIONS'].flatMap((method) =>
    ['/livez', '/readyz', '/openapi.json', '/docs', '/docs/js/scalar.js'].map((path) =>
      refusedMethod(method, path, 'GET, HEAD'),
    ),
  ),
  {
    name: 'OPTIONS /nothing',
    request: get('/nothing', '', 'OPTIONS'),
    status: 404,
    body: problem('not_found'),
  },
  {
    name: 'TRACE /v1/nothing',
    request: get('/v1/nothing', '', 'TRACE'),
    status: 404,
    body: problem('not_found'),
  },
]

const rows: Row[] = [
  ...brokenJson,
  ...kinds,
  ...fields,
  ...tooMuch,
  ...mediaTypes,
  ...notNumbers,
  ...passwords,
  shortNumber,
  longNumber,
  ...credentials,
  ...belowTheRoutes,
  ...paths,
  ...queries,
  ...ids,
  ...methods,
]

// Headers that look dangerous and have no meaning here.
const ignoredHeaders: [string, string][] = [
  ['X-Forwarded-For', 'x-forwarded-for: 10.0.0.1\r\n'],
  ['X-Forwarded-For with 50 entries', `x-forwarded-for: ${'10.0.0.1, '.repeat(50)}unknown\r\n`],
  ['Forwarded', 'forwarded: for="[2001:db8::1]";host=evil.test;proto=https\r\n'],
  ['X-Real-IP and CF-Connecting-IP', 'x-real-ip: 10.0.0.1\r\ncf-connecting-ip: ::1\r\n'],
  ['X-Original-URL', 'x-original-url: /nothing\r\nx-rewrite-url: /nothing\r\n'],
  ['X-HTTP-Method-Override', 'x-http-method-override: DELETE\r\nx-method-override: DELETE\r\n'],
  ['X-Forwarded-Host', 'x-forwarded-host: evil.test\r\nx-forwarded-proto: ftp\r\n'],
  ['a second Host', 'host: evil.test\r\n'],
  ['a header __proto__', '__proto__: x\r\nconstructor: y\r\n'],
  ['101 headers', Array.from({ length: 101 }, (_, i) => `h${i}: x\r\n`).join('')],
  [
    'an upgrade to h2c',
    'connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n',
  ],
  ['Range', 'range: bytes=0-1\r\n'],
  ['If-None-Match', 'if-none-match: *\r\nif-modified-since: Sun, 22 Nov 2026 00:00:00 GMT\r\n'],
  ['Accept with 1000 entries', `accept: ${'*/*;q=0.1,'.repeat(1000)}*/*\r\n`],
  ['Accept-Language of 10 KB', `accept-language: ${'a,'.repeat(5000)}zh\r\n`],
  ["somebody else's cookie", `cookie: token=hf_${'A'.repeat(65)}\r\n`],
  ['a body that nobody asked for', `${json}content-length: 5\r\n`],
]

let app: RunningApp
let fresh: FreshDatabase
/** A live session that no row affects. */
let token: string
const witness = { code: 1, nickname: '证人', phone_number: '13900000001' }
const ownKeys = Reflect.ownKeys(Object.prototype).join()

beforeAll(async () => {
  const sqlite = databases.find(({ name }) => name === 'sqlite')
  if (!sqlite) throw new Error('SQLite is always there')
  fresh = await sqlite.create()
  app = await startApp(fresh.url)
  await addPerson(app.services, guest, '客人')
  await addPerson(app.services, witness.phone_number, witness.nickname)
  token = await signIn(app, witness.phone_number)
})

afterAll(async () => {
  await app.close()
  await fresh.drop()
})

async function signIn({ services }: RunningApp, phone: string): Promise<string> {
  const device = { platform: 'other', deviceId: null, deviceName: null, appVersion: null, ip: null } as const
  const context = { device, origin: noOrigin }
  const credential = { phoneNumber: phone, password: person.password }
  return (await services.signIn.by('password', context, credential)).token
}

// Bad input that was accepted must not affect the next row.
afterEach(async () => {
  const { id } = await app.services.accounts.get(guest)
  await app.byHand.deleteFrom('hufu_sessions').where('account_id', '=', id).execute()
})

async function guestSessions() {
  return await app.services.sessions.list((await app.services.accounts.get(guest)).id)
}

/** The JSON of a response without its `request_id`, which must equal the header; or its text. */
function bodyOf({ text, headers }: Reply): unknown {
  if (!/^application\/(problem\+)?json; charset=utf-8$/.test(headers['content-type'] ?? '') || text === '')
    return text
  const { request_id, ...body } = JSON.parse(text)
  if (request_id !== undefined) expect(request_id).toBe(headers['x-request-id'])
  return body
}

function typeOf({ status, body }: Row): unknown {
  if (body === '' && status !== 405) return undefined
  const isProblem = typeof body === 'object' && body !== null && 'type' in body
  if (isProblem) return 'application/problem+json; charset=utf-8'
  return body === '' ? expect.stringMatching(/json; charset=utf-8$/) : 'application/json; charset=utf-8'
}

function expectedHeaders(row: Row): Record<string, unknown> {
  const named = { 'content-type': typeOf(row), ...row.headers }
  if (row.isBelow) return { ...named, connection: 'close', 'cache-control': 'no-store' }
  return { ...named, 'cache-control': 'no-store', 'x-request-id': expect.stringMatching(/^[\w.-]{1,64}$/) }
}

/** The only log line of a request; a line is written shortly after the response. */
async function lineOf(requestId: string | undefined): Promise<Record<string, unknown>> {
  return await vi.waitFor(() => {
    const lines = app.lines.filter((line) => line.includes(`"${requestId}"`))
    expect(lines).toHaveLength(1)
    return JSON.parse(lines[0] ?? '')
  })
}

describe('bad inputs', () => {
  test('are at least 60, each with a unique name', () => {
    expect(rows.length).toBeGreaterThan(60)
    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length)
  })

  test.each(rows.map((row) => [`${row.name}: ${row.status}`, row] as const))('%s', async (_name, row) => {
    const reply = await send(app, typeof row.request === 'function' ? row.request(token) : row.request)
    expect({ status: reply.status, body: bodyOf(reply) }).toEqual({ status: row.status, body: row.body })
    expect(reply.headers).toEqual(expect.objectContaining(expectedHeaders(row)))
    if (!row.isBelow) {
      const line = await lineOf(reply.headers['x-request-id'])
      expect(line).toMatchObject({ level: 30, status: row.status })
    }
    expect(bodyOf(await send(app, get('/user', `token: ${token}\r\n`)))).toEqual(witness)
    expect(await guestSessions()).toEqual([])
    expect(Reflect.ownKeys(Object.prototype).join()).toBe(ownKeys)
    expect('polluted' in {}).toBe(false)
  })

  test('a body that never completes ends with its connection, and has no effect', async () => {
    for (const path of ['/login', '/v1/sessions']) {
      const request = postRaw(path, `content-length: ${validText.length + 1}\r\n`, validText)
      const { status } = await send(app, request, { end: true })
      expect(status).toBe(400)
      expect(await guestSessions()).toEqual([])
    }
    expect(bodyOf(await send(app, get('/user', `token: ${token}\r\n`)))).toEqual(witness)
  })

  test('HEAD has no effect, not even with a live token', async () => {
    const other = await signIn(app, guest)
    const { status } = await send(app, get('/logout', `token: ${other}\r\n`, 'HEAD'))
    expect(status).toBe(405)
    expect(await guestSessions()).toHaveLength(1)
    await send(app, get('/logout', `token: ${other}\r\n`))
    expect(await guestSessions()).toEqual([])
  })
})

describe('invalid_request', () => {
  const device = (facts: object) => ({ ...valid, device: facts })
  test.each([
    [{ ...valid, phon: 1 }, /"phon".*拼写/, /"phon".*spelling/],
    [{ ...valid, ['\u202e"\n'.padEnd(900, 'x')]: 1 }, /"\?\?\?x{61}"/, /"\?\?\?x{61}"/],
    [{ ...valid, nickame: 'x' }, /"nickame".*"nickname"/, /"nickame".*"nickname"/],
    [device({ platfrom: 'ios' }), /"device\.platfrom".*"platform"/, /"device\.platfrom".*"platform"/],
    [{ phone_numer: guest, password: 'x' }, /"phone_number".*"phone_numer"/, /"phone_number".*"phone_numer"/],
    [device({ push: 1 }), /"device\.push"/, /"device\.push"/],
    [
      device({ platform: 'iphone' }),
      /"device\.platform".*ios, android, harmony/,
      /"device\.platform".*ios, android, harmony/,
    ],
    [device({ platform: 1 }), /"device\.platform".*字符串/, /"device\.platform".*text/],
    [device({ name: '虎'.repeat(65) }), /"device\.name".*最多 ?64/, /"device\.name".*64 characters/],
    [device({ name: '' }), /"device\.name" 至少/, /"device\.name" is too short/],
    [device({ name: 'a\nb' }), /"device\.name".*换行/, /"device\.name".*line breaks/],
    [device({ id: 'é' }), /"device\.id".*ASCII/, /"device\.id".*ASCII/],
    [{ ...valid, phone_number: undefined }, /缺少字段 "phone_number"/, /Add the field "phone_number"/],
    [{ phone_number: guest }, /"password" 和 "code" 须提供其中一个/, /either "password" or "code"/],
    [{ ...valid, code: '123456' }, /"code" 和 "password".*去掉/, /"code" and "password".*remove/],
    [{ phone_number: guest, code: '12' }, /"code".*六位数字/, /"code".*six digits/],
    [[], /请求体.*JSON 对象/, /The body.*JSON object/],
  ])('names the field, and says what to send instead: %j', async (body, zh, en) => {
    for (const [language, words] of [
      ['zh-CN', zh],
      ['en', en],
    ] as const) {
      const headers = `${json}accept-language: ${language}\r\n`
      const answer = bodyOf(await send(app, post('/v1/sessions', JSON.stringify(body), headers)))
      expect(answer).toMatchObject({ code: 'invalid_request', detail: expect.stringMatching(words) })
    }
  })

  test('lists the allowed values for programs', async () => {
    const answer = bodyOf(
      await send(app, post('/v1/sessions', JSON.stringify(device({ platform: 'iphone' })))),
    )
    const [refused] = (answer as { fields: { allowed: string[] }[] }).fields
    expect(refused?.allowed).toEqual(expect.arrayContaining(['ios', 'android', 'other']))
    expect(refused?.allowed).not.toContain('classic')
  })
})

describe('input that is not as bad as it looks', () => {
  test.each(ignoredHeaders)('%s changes nothing', async (_name, headers) => {
    const body = headers.includes('content-length') ? 'hello' : ''
    const classic = await send(app, get('/user', `token: ${token}\r\n${headers}`) + body)
    expect(classic.status).toBe(200)
    expect(bodyOf(classic)).toEqual(witness)
    const v1 = await send(app, get('/v1/session', bearer(token) + headers) + body)
    expect(v1.status).toBe(200)
    expect(bodyOf(v1)).toMatchObject({ account: { nickname: witness.nickname } })
    for (const { text, headers: sent } of [classic, v1])
      expect(text + JSON.stringify(sent)).not.toContain('evil.test')
    expect(await lineOf(v1.headers['x-request-id'])).toMatchObject({ ip: '127.0.0.1', path: '/v1/session' })
  })

  test('an address that a client claims is not the address of the session', async () => {
    const claims = 'x-forwarded-for: 10.0.0.1\r\nx-real-ip: 10.0.0.1\r\nforwarded: for=10.0.0.1\r\n'
    const reply = await send(app, post('/v1/sessions', validText, json + claims))
    expect(bodyOf(reply)).toMatchObject({ session: { ip: '127.0.0.1' } })
  })

  test('no redirect and no link contains the Host header of a request', async () => {
    const request =
      'GET /docs HTTP/1.1\r\nhost: evil.test\r\nx-forwarded-host: evil.test\r\nconnection: close\r\n\r\n'
    const reply = await send(app, request)
    expect(reply.text + JSON.stringify(reply.headers)).not.toContain('evil')
    const description = await send(app, get('/openapi.json', 'x-forwarded-host: evil.test\r\n'))
    expect(description.text).toContain('"openapi":"3.1.0"')
    expect(description.text).not.toContain('evil.test')
    expect(description.text).not.toContain('hufu.test')
  })

  test.each(['OPTIONS', 'GET'])('no answer to %s lets a page of another origin in', async (method) => {
    const headers = 'origin: https://evil.test\r\naccess-control-request-method: DELETE\r\n'
    const reply = await send(app, get('/v1/session', headers + bearer(token), method))
    expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
  })

  test.each([
    ['exactly the limit', post('/login', padded(limit))],
    ['chunks', postRaw('/login', 'transfer-encoding: chunked\r\n', chunked(validText, 7))],
    ['an identity encoding', post('/login', validText, `${json}content-encoding: identity\r\n`)],
    ['a quoted charset', post('/login', validText, 'content-type: application/json; charset="UTF-8"\r\n')],
    ['white space around', post('/login', ` \r\n\t${validText}\n`)],
    ['escaped letters', post('/login', validText.replace('phone', 'ph\\u006fne'))],
    ['whole characters as escapes', post('/login', `{"x":"\\ud83d\\ude00",${validText.slice(1)}`)],
    [
      'deep unknown fields',
      post('/login', `{"x":${'['.repeat(7000)}${']'.repeat(7000)},${validText.slice(1)}`),
    ],
    ['a key constructor', post('/login', `{"constructor":1,"toString":2,${validText.slice(1)}`)],
  ])('%s signs in', async (_name, request) => {
    const reply = await send(app, request)
    expect(reply.status).toBe(200)
    expect(bodyOf(reply)).toEqual({
      code: 1,
      message: '成功登录',
      nickname: '客人',
      token: expect.any(String),
    })
  })

  test.each([
    '+8613800005223',
    '+86 138 0000 5223',
    '008613800005223',
    '138-0000-5223',
    '(138) 0000 5223',
    '86 13800005223',
    '(+86)13800005223',
    ' 13800005223\n',
    '１３８００００５２２３',
    '＋８６　１３８－００００－５２２３',
    '𝟏𝟑𝟖𝟎𝟎𝟎𝟎𝟓𝟐𝟐𝟑',
    '138\u00a00000\u00a05223',
    '\u202d138\u200b0000–5223\u202c',
    '\u2068+86 138 0000 5223\u2069',
  ])('%j is the same person, for both APIs', async (phone) => {
    const reply = await send(app, post('/v1/sessions', JSON.stringify({ ...valid, phone_number: phone })))
    expect(reply.status).toBe(201)
    expect(bodyOf(reply)).toMatchObject({ account: { phone_number: '+8613800005223', nickname: '客人' } })
    const classic = await send(app, post('/login', JSON.stringify({ ...valid, phone_number: phone })))
    expect(bodyOf(classic)).toMatchObject({ code: 1, nickname: '客人' })
  })

  test.each([
    ['a colon', 'a:b'],
    ['a hash tag', '{tag}'],
    ['a star', '*'],
    ['a key', '__proto__'],
  ])("%s in a device's id is just text", async (_name, id) => {
    const reply = await send(app, post('/v1/sessions', JSON.stringify({ ...valid, device: { id } })))
    expect(reply.status).toBe(201)
    expect(bodyOf(reply)).toMatchObject({ session: { device: { id } } })
  })

  test('markup and templates in the name of a device are returned unchanged', async () => {
    for (const name of [
      '<img src=x onerror=alert(1)>',
      '=cmd()',
      '$' + '{jndi:x}',
      '{{7*7}}',
      '小明的 iPhone 🐯',
      '👨‍👩‍👧',
    ]) {
      const reply = await send(app, post('/v1/sessions', JSON.stringify({ ...valid, device: { name } })))
      expect(bodyOf(reply)).toMatchObject({ session: { device: { name } } })
    }
  })

  test('a password is compared to its last character, in any Unicode form', async () => {
    const long = `${'é'.repeat(72)}é#`
    const [one, two] = ['13600000001', '13600000002'] as const
    await app.services.accounts.create({ phoneNumber: one, nickname: null, password: long })
    const longest = '🐯🐅'.repeat(128)
    await app.services.accounts.create({ phoneNumber: two, nickname: null, password: longest })
    const answer = async (phone_number: string, password: string) =>
      bodyOf(await send(app, post('/login', JSON.stringify({ phone_number, password }))))
    expect(await answer(one, long)).toMatchObject({ code: 1 })
    expect(await answer(one, long.normalize('NFD'))).toMatchObject({ code: 1 })
    expect(await answer(one, `${'é'.repeat(72)}è#`)).toEqual(wrongPassword)
    expect(await answer(one, `${long.slice(0, -1)}!`)).toEqual(wrongPassword)
    expect(await answer(two, longest)).toMatchObject({ code: 1 })
    expect(await answer(two, [...longest].slice(0, -1).join(''))).toEqual(wrongPassword)
  })
})

function chunked(text: string, size: number): string {
  const chunks = text.match(new RegExp(`.{1,${size}}`, 'gs')) ?? []
  return `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`
}

describe('an object with a duplicate name', () => {
  const twice = (first: string, second: string) =>
    `{"phone_number":"${first}","password":"${person.password}","phone_number":"${second}"}`

  test.each([
    ['plain', twice(guest, '13700000000')],
    ['plain, with the right one last', twice('13700000000', guest)],
    ['twice the same', twice(guest, guest)],
    ['escaped', twice('13700000000', guest).replace('"phone_number"', '"ph\\u006fne_number"')],
    ['inside the device', `${validText.slice(0, -1)},"device":{"platform":"ios","platform":"ios"}}`],
    ['deep in what is not wanted', `${validText.slice(0, -1)},"x":[[{"a:":":","b":{"":1,"c":2,"":3}}]]}`],
  ])('is refused: %s', async (_name, body) => {
    for (const path of ['/login', '/v1/sessions']) {
      const answer = await send(app, post(path, body))
      expect(answer.status).toBe(400)
      expect(bodyOf(answer)).toMatchObject(
        path === '/login' ? { code: 0, message: '请求体不是有效的 JSON' } : { code: 'invalid_json' },
      )
    }
    expect(await guestSessions()).toEqual([])
  })

  test('colons and quotes inside of texts are no names', async () => {
    const device = { platform: 'ios', name: '":":\\":\\\\', id: ':":' }
    const body = JSON.stringify({ phone_number: guest, password: person.password, device })
    const answer = await send(app, post('/v1/sessions', body))
    expect(bodyOf(answer)).toMatchObject({ session: { device: { name: device.name, id: device.id } } })
  })
})

describe.each(databases)('ids of sessions on $name', ({ skipped, create }) => {
  test.skipIf(skipped)('unknown, foreign and malformed ids get one and the same 404', async () => {
    const place = await create()
    const here = await startApp(place.url)
    try {
      await addPerson(here.services, guest)
      await addPerson(here.services, witness.phone_number)
      const mine = await signIn(here, guest)
      const theirs = (await signIn(here, witness.phone_number)).slice(3, 25)
      const bad = [
        theirs,
        'a'.repeat(22),
        '0',
        '-1',
        "'",
        '%00',
        'a%00b',
        '%F0%9F%90%AF',
        '1'.repeat(40),
        '%25',
        '_',
      ]
      for (const id of bad) {
        const headers = `${bearer(mine)}x-request-id: same\r\n`
        const { status, text } = await send(here, get(`/v1/sessions/${id}`, headers, 'DELETE'))
        const body = JSON.stringify({ ...problem('session_not_found'), request_id: 'same' })
        expect({ id, status, text }).toEqual({ id, status: 404, text: body })
      }
      expect(
        await here.services.sessions.list((await here.services.accounts.get(witness.phone_number)).id),
      ).toHaveLength(1)
    } finally {
      await here.close()
      await place.drop()
    }
  })
})

describe('random input', () => {
  const seed = Number(process.env.HUFU_TEST_SEED ?? Date.now() % 2 ** 31)

  // Texts with a special meaning in some format, between any others.
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.constantFrom(guest, '', '__proto__', 'constructor', '\0', "'", '%', 'hf_', '+86', 'ios', '\ud800'),
  )
  const value = fc.oneof(text, fc.jsonValue({ maxDepth: 3 }))
  const body = fc.oneof(
    fc.dictionary(fc.constantFrom('phone_number', 'password', 'device', 'x', '__proto__'), value),
    fc.record({
      phone_number: text,
      password: value,
      device: fc.dictionary(fc.constantFrom('platform', 'id', 'name', 'app_version', 'x'), value),
    }),
    fc.jsonValue({ maxDepth: 5 }),
  )
  const request = fc.record({
    method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'),
    path: fc.oneof(
      fc.constantFrom('/login', '/user', '/logout', '/v1/session', '/v1/sessions'),
      text.map((id) => `/v1/sessions/${encodeURIComponent(id.toWellFormed())}`),
      fc.webPath({ size: 'small' }).map((path) => path || '/'),
    ),
    type: fc.constantFrom('application/json', 'application/json; charset=utf-8', 'text/plain'),
    credential: fc.constantFrom('', 'x', 'Bearer x', `Bearer hf_${'A'.repeat(65)}`),
    body: fc.option(body.map((one) => JSON.stringify(one))),
  })

  test(`never gives 5xx, HTML or an answer that may be stored (HUFU_TEST_SEED=${seed})`, async () => {
    await fc.assert(
      fc.asyncProperty(request, async ({ method, path, type, credential, body: sent }) => {
        const response = await fetch(app.url + path, {
          method,
          headers: { 'content-type': type, authorization: credential, token: credential },
          ...(sent !== null && method !== 'GET' && { body: sent }),
        })
        const answer = await response.text()
        expect(response.status).toBeLessThan(500)
        expect(response.headers.get('content-type') ?? '').not.toMatch(/html/)
        // The client shortens paths such as "/." before it sends them.
        if (new URL(app.url + path).pathname !== '/') expect(() => JSON.parse(answer || '{}')).not.toThrow()
        expect(response.headers.get('cache-control')).toBe('no-store')
        expect(response.headers.get('x-request-id')).toMatch(/^[\w.-]{1,64}$/)
      }),
      { seed, numRuns: 300 },
    )
    expect(bodyOf(await send(app, get('/user', `token: ${token}\r\n`)))).toEqual(witness)
    expect(Reflect.ownKeys(Object.prototype).join()).toBe(ownKeys)
  })
})
