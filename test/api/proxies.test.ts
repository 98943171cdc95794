// The address of a client: headers from the client change nothing, unless a listed proxy passes them on.
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases, type FreshDatabase } from '../support/databases.ts'

const [sqlite = expect.fail()] = databases

/** Signs in and returns the address that the server recorded, in the session and in the log. */
async function addressSeen(
  app: RunningApp,
  headers: Record<string, string | string[]>,
  host = '127.0.0.1',
): Promise<{ session: unknown; log: unknown }> {
  const body = JSON.stringify({ phone_number: person.phone, password: person.password })
  const { port } = app.server.server.address() as AddressInfo
  const text = await new Promise<string>((resolve, reject) => {
    const asked = request(
      {
        host,
        port,
        path: '/v1/sessions',
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json', connection: 'close' },
      },
      (answer) => {
        let received = ''
        answer.on('data', (chunk) => {
          received += chunk
        })
        answer.on('end', () => resolve(received))
      },
    )
    asked.on('error', reject)
    asked.end(body)
  })
  // A successful sign-in has a session, and a log line with it.
  const { session } = JSON.parse(text) as { session: { ip: unknown } }
  const lines = () => app.lines.filter((line) => line.includes('/v1/sessions'))
  await expect.poll(() => lines().length, { interval: 5 }).toBeGreaterThan(0)
  const log = (JSON.parse(lines()[0] ?? '{}') as { ip?: unknown }).ip
  app.lines.length = 0
  return { session: session.ip, log }
}

const spoofs: [string, Record<string, string | string[]>][] = [
  ['X-Forwarded-For', { 'x-forwarded-for': '198.51.100.9' }],
  ['X-Forwarded-For twice', { 'x-forwarded-for': ['198.51.100.9', '198.51.100.8'] }],
  ['X-Real-IP', { 'x-real-ip': '198.51.100.9' }],
  ['Forwarded', { forwarded: 'for=198.51.100.9;proto=https;host=evil.example' }],
  ['X-Forwarded-Host and -Proto', { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }],
  [
    'CF-Connecting-IP and True-Client-IP',
    { 'cf-connecting-ip': '198.51.100.9', 'true-client-ip': '198.51.100.9' },
  ],
]

function useApp(environment: Record<string, string>) {
  let fresh: FreshDatabase
  let app: RunningApp
  beforeAll(async () => {
    fresh = await sqlite.create()
    app = await startApp(fresh.url, { environment })
    await addPerson(app.services)
  })
  afterAll(async () => {
    await app?.close()
    await fresh?.drop()
  })
  return () => app
}

describe.each([
  ['without a list', {}],
  ['from a peer that is not on the list', { HUFU_TRUSTED_PROXIES: '10.0.0.0/8, 192.0.2.1,fd00::/8' }],
])('%s', (_, environment) => {
  const app = useApp(environment as Record<string, string>)

  test.each(spoofs)('%s is ignored', async (_name, headers) => {
    expect(await addressSeen(app(), headers)).toEqual({ session: '127.0.0.1', log: '127.0.0.1' })
  })
})

describe('from a listed proxy', () => {
  const app = useApp({ HUFU_TRUSTED_PROXIES: '127.0.0.0/8,10.1.0.0/16' })
  const client = '203.0.113.7'

  test.each<[string, string | string[], string]>([
    ['its address for the client', client, client],
    ['what the client wrote before it', `198.51.100.9, ${client}`, client],
    ['rubbish that the client wrote before it', `<script>, "x", ${client}`, client],
    ['several headers', ['198.51.100.9', client], client],
    ['a second proxy on the list', `198.51.100.9, ${client}, 10.1.2.3`, client],
    ['a second proxy that is not on the list', `${client}, 10.2.0.1`, '10.2.0.1'],
    ['an address of the list that the client wrote', `10.1.9.9, ${client}`, client],
    ['IPv6', '2001:db8::7', '2001:db8::7'],
    ['IPv6 in capitals with zeros', '2001:0DB8:0:0:0:0:0:7', '2001:db8::7'],
    ['IPv4 in IPv6', `::ffff:${client}`, client],
    ['IPv4 in IPv6, in groups', '0:0:0:0:0:FFFF:cb00:7107', client],
    ['IPv4 in IPv6, dotted and in capitals', `::FFFF:${client}`, client],
    ['IPv6 with a zone', `fe80::1%${'a'.repeat(100)}`, 'fe80::1'],
    ['a port', `${client}:51234`, client],
    ['a port behind IPv6 in brackets', '[2001:db8::1]:443', '2001:db8::1'],
    ['IPv6 in brackets', '[2001:DB8::1]', '2001:db8::1'],
    ['IPv6 in brackets with a zone and a port', '[fe80::1%eth0]:443', 'fe80::1'],
    ['IPv4 in IPv6 in brackets with a port', `[::ffff:${client}]:443`, client],
    ['a quoted address', `"${client}"`, client],
    ['a quoted address with a port', `"${client}:51234"`, client],
    ['quoted IPv6 with a port', '"[2001:db8::1]:443"', '2001:db8::1'],
    ['spaces and tabs around', `198.51.100.9 ,\t ${client}:51234 \t`, client],
    ['empty elements', `198.51.100.9,, ${client}, ,`, client],
    [
      'listed proxies with a port',
      `198.51.100.9, ${client}:51234, "10.1.2.3:80", [::ffff:10.1.2.4]:80`,
      client,
    ],
    ['an address of the list with a port that the client wrote', `10.1.9.9:1, ${client}:51234`, client],
    ['ports everywhere, and a second proxy that is not listed', `${client}:1, 10.2.0.1:2`, '10.2.0.1'],
    ['no address', 'unknown', '127.0.0.1'],
    ['no address, and one that the client wrote before it', `${client}, unknown`, '127.0.0.1'],
    ['no address behind a second proxy on the list', 'unknown, 10.1.2.3:80', '10.1.2.3'],
    ['an identifier of RFC 7239', '_hidden', '127.0.0.1'],
    ['an address with a port that is too long', `${client}:123456`, '127.0.0.1'],
    ['an address with a colon and no port', `${client}:`, '127.0.0.1'],
    ['IPv4 in brackets', `[${client}]:443`, '127.0.0.1'],
    ['zeros in front, which may mean octal', '0203.0.113.7', '127.0.0.1'],
    ['a quote that does not end', `"${client}`, '127.0.0.1'],
    ['a quoted list, which is one element', `"198.51.100.9, ${client}"`, '127.0.0.1'],
    ['nothing', '', '127.0.0.1'],
    ['nothing but commas', ' , ,,', '127.0.0.1'],
    ['nothing but proxies', '10.1.2.3, 10.1.2.4', '10.1.2.3'],
  ])('X-Forwarded-For with %s', async (_name, header, address) => {
    expect(await addressSeen(app(), { 'x-forwarded-for': header })).toEqual({
      session: address,
      log: address,
    })
  })

  test.each(spoofs.slice(2))('%s is ignored even there', async (_name, headers) => {
    expect(await addressSeen(app(), headers)).toEqual({ session: '127.0.0.1', log: '127.0.0.1' })
  })
})

describe('a client address in an unused header is reported in the log, once in a process', () => {
  const list = { HUFU_TRUSTED_PROXIES: '127.0.0.1' }
  const client = '203.0.113.7'
  const peer = '127.0.0.1'
  const notListed = /not in HUFU_TRUSTED_PROXIES/
  const notRead = /make it send X-Forwarded-For/

  test.each<[string, Record<string, string>, Record<string, string>, object, RegExp]>([
    ['X-Forwarded-For', {}, { 'x-forwarded-for': client }, { header: 'x-forwarded-for' }, notListed],
    ['Forwarded', {}, { forwarded: `for=${client}` }, { header: 'forwarded' }, notListed],
    ['X-Real-IP', {}, { 'x-real-ip': client }, { header: 'x-real-ip' }, notListed],
    [
      'X-Forwarded-For where another proxy is listed',
      { HUFU_TRUSTED_PROXIES: '10.0.0.5' },
      { 'x-forwarded-for': client },
      { header: 'x-forwarded-for' },
      notListed,
    ],
    ['X-Real-IP alone, from a proxy', list, { 'x-real-ip': client }, { header: 'x-real-ip' }, notRead],
    ['Forwarded alone, from a proxy', list, { forwarded: `for=${client}` }, { header: 'forwarded' }, notRead],
    [
      'an invalid address from a proxy',
      list,
      { 'x-forwarded-for': `${client}, unknown` },
      { header: 'x-forwarded-for', hop: 'unknown' },
      /passes on what is no address/,
    ],
  ])('%s', async (_name, environment, headers, about, message) => {
    const { lines, ask } = await quietApp(environment)
    await ask({})
    expect(warnings(lines)).toEqual([])
    for (let i = 0; i < 5; i++) await ask(headers)
    expect(warnings(lines)).toEqual([
      { level: 40, time: expect.any(String), peer, ...about, msg: expect.stringMatching(message) },
    ])
  })

  test('a used header is not reported, whatever the other headers are', async () => {
    const { lines, ask } = await quietApp(list)
    await ask({ 'x-forwarded-for': `unknown, ${client}:51234`, 'x-real-ip': client, forwarded: 'for=_x' })
    await ask({ 'x-forwarded-for': '127.0.0.1' })
    await ask({ 'x-forwarded-for': ' , ' })
    expect(warnings(lines)).toEqual([])
  })

  const opened: { close: () => Promise<void>; drop: () => Promise<void> }[] = []
  afterEach(async () => {
    for (const { close, drop } of opened.splice(0)) {
      await close()
      await drop()
    }
  })

  async function quietApp(environment: Record<string, string>) {
    const { url, drop } = await sqlite.create()
    const app = await startApp(url, { environment })
    opened.push({ close: app.close, drop })
    const ask = async (headers: Record<string, string>) => {
      expect((await fetch(`${app.url}/livez`, { headers })).status).toBe(200)
    }
    return { lines: app.lines, ask }
  }

  const warnings = (lines: readonly string[]) =>
    lines.map((line) => JSON.parse(line) as { level: number }).filter(({ level }) => level >= 40)
})

describe('on an IPv6 socket', () => {
  test('IPv4 clients and proxies have their IPv4 address', async () => {
    const fresh = await sqlite.create()
    for (const [environment, seen] of [
      [{}, '127.0.0.1'],
      [{ HUFU_TRUSTED_PROXIES: '127.0.0.1' }, '203.0.113.7'],
    ] as const) {
      const app = await startApp(fresh.url, { environment, host: '::' })
      await addPerson(app.services).catch(() => {})
      const headers = { 'x-forwarded-for': '203.0.113.7' }
      expect(await addressSeen(app, headers)).toEqual({ session: seen, log: seen })
      await app.close()
    }
    await fresh.drop()
  })
})

test('changing the forwarded address does not give more tries', async () => {
  const fresh = await sqlite.create()
  const app = await startApp(fresh.url, { environment: { HUFU_LIMITS: 'on' } })
  const statuses = []
  for (let i = 0; i < 102; i++) {
    const answer = await fetch(`${app.url}/v1/sessions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-forwarded-for': `203.0.${i}.7`,
        'x-real-ip': `203.0.${i}.7`,
        forwarded: `for=203.0.${i}.7`,
      },
      body: JSON.stringify({ phone_number: `139${10_000_000 + i * 1_001}`, password: 'wrong' }),
    })
    statuses.push(answer.status)
    await answer.text()
  }
  expect(statuses.indexOf(429)).toBe(100)
  await app.close()
  await fresh.drop()
})
