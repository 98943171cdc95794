import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { readSettings, SettingsError, settingsTable, withoutPassword } from './settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'hufu-settings-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('without any setting it is the embedded server of the README', () => {
  expect(readSettings({})).toMatchObject({
    host: '127.0.0.1',
    port: 5001,
    database: { kind: 'sqlite', url: 'sqlite:./data/hufu.db' },
    redis: null,
    region: 'CN',
    classicApi: true,
    sessionLifeMs: 30 * 86_400_000,
    sessionMaxLifeMs: null,
  })
})

test.each([
  [{ HUFU_PORT: '70000' }, 'HUFU_PORT must be a whole number from 0 to 65535 (it is "70000").'],
  [{ HUFU_PORT: '-1' }, 'HUFU_PORT must be a whole number from 0 to 65535 (it is "-1").'],
  [{ HUFU_PORT: '' }, 'HUFU_PORT must be a whole number from 0 to 65535.'],
  [
    { HUFU_DEFAULT_REGION: 'China' },
    'HUFU_DEFAULT_REGION must be a region in two capital letters (ISO 3166-1), for example CN (it is "China").',
  ],
  [{ HUFU_CLASSIC_API: 'maybe' }, 'HUFU_CLASSIC_API must be true or false (it is "maybe").'],
  [
    { HUFU_SESSION_SCOPE: 'all' },
    'HUFU_SESSION_SCOPE must be one of: account, platform, device (it is "all").',
  ],
  [{ HUFU_PROT: '1' }, 'HUFU_PROT is not a setting of Hufu; docs/settings.md lists them.'],
  [{ HUFU_PORT_FILE: '/x' }, 'HUFU_PORT_FILE is not known: only secrets are read from files; set HUFU_PORT.'],
  [
    { HUFU_REDIS_URL: 'redis://a', HUFU_REDIS_URL_FILE: '/x' },
    'HUFU_REDIS_URL and HUFU_REDIS_URL_FILE contradict each other: set one of them.',
  ],
  [{ HUFU_LIMITS: 'maybe' }, 'HUFU_LIMITS must be one of: on, off (it is "maybe").'],
  [
    { HUFU_SMS_DAILY_BUDGET: '-1' },
    'HUFU_SMS_DAILY_BUDGET must be a whole number from 0 to 100000000 (it is "-1").',
  ],
  [
    { HUFU_SESSION_MAX_LIFE_DAYS: '7' },
    'HUFU_SESSION_MAX_LIFE_DAYS must not be less than HUFU_SESSION_LIFE_DAYS.',
  ],
  [
    { HUFU_SESSION_MAX: '0', HUFU_SESSION_WHEN_FULL: 'refuse' },
    'HUFU_SESSION_WHEN_FULL is "refuse", but HUFU_SESSION_MAX is 0, which is never full.',
  ],
])('%j stops the start with one sentence that names the setting', (environment, sentence) => {
  expect(() => readSettings(environment as Record<string, string>)).toThrow(new SettingsError(sentence))
})

test.each(['HUFU_DATABASE_URL', 'HUFU_REDIS_URL'])('a wrong %s is refused without printing it', (name) => {
  for (const value of ['postgres:/hunter2', 'http://user:hunter2@host/', 'hunter2']) {
    const read = () => readSettings({ [name]: value })
    expect(read).toThrow(SettingsError)
    expect(read).toThrow(new RegExp(`^${name} must be `))
    expect(read).not.toThrow(/hunter2/)
  }
})

test('a secret comes from the file that its _FILE names, without the line end', () => {
  const path = join(folder, 'redis-url')
  writeFileSync(path, 'redis://:hunter2@127.0.0.1:6379\n')
  expect(readSettings({ HUFU_REDIS_URL_FILE: path }).redis).toBe('redis://:hunter2@127.0.0.1:6379')
  expect(() => readSettings({ HUFU_REDIS_URL_FILE: join(folder, 'nothing') })).toThrow(
    /^HUFU_REDIS_URL_FILE names a file that cannot be read/,
  )
})

test('a URL is shown without its password', () => {
  expect(withoutPassword('mysql://hufu:hunter2@db:3306/hufu?ssl=%7B%7D')).toBe(
    'mysql://hufu:***@db:3306/hufu',
  )
  expect(withoutPassword('sqlite:./data/hufu.db')).toBe('sqlite:./data/hufu.db')
})

test('every setting has a default that is itself acceptable', () => {
  for (const { name, default: text, parse } of Object.values(settingsTable)) {
    expect(() => parse(text), name).not.toThrow()
  }
})

test.each([
  'true',
  '*',
  '1',
  'all',
  'loopback',
  'proxy.internal',
  '10.0.0.1:80',
  '10.0.0.0/0',
  '0.0.0.0/0',
  '::/0',
  '10.0.0.0/33',
  'fd00::/129',
  '10.0.0.0/8/8',
  '10.0.0.0/255.0.0.0',
  '10.0.0.0/08',
  '10.0.0',
  '010.0.0.1',
  '::ffff:10.0.0.0/104',
  'fe80::1%eth0',
  '10.0.0.1,',
  '10.0.0.1 10.0.0.2',
  ',',
])('HUFU_TRUSTED_PROXIES=%s stops the start: only addresses and blocks are trusted', (value) => {
  const sentence = `HUFU_TRUSTED_PROXIES must be addresses or CIDR blocks with commas between them, for example 10.0.0.5,10.1.0.0/16,fd00::/8, or empty for no proxy (it is "${value}").`
  expect(() => readSettings({ HUFU_TRUSTED_PROXIES: value })).toThrow(new SettingsError(sentence))
})

test('HUFU_TRUSTED_PROXIES is empty, or a list with white space where one likes', () => {
  expect(readSettings({}).trustedProxies).toEqual([])
  expect(readSettings({ HUFU_TRUSTED_PROXIES: ' ' }).trustedProxies).toEqual([])
  const list = readSettings({ HUFU_TRUSTED_PROXIES: '10.0.0.5, 10.1.0.0/16 ,fd00::/8,::1' }).trustedProxies
  expect(list).toEqual(['10.0.0.5', '10.1.0.0/16', 'fd00::/8', '::1'])
})
