import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { defaultAllowances } from '../limits/allowances.ts'
import { SettingsError } from './setting.ts'
import { readSettings } from './settings.ts'
import { settingRows } from './table.ts'

const folder = mkdtempSync(join(tmpdir(), 'hufu-settings-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('without any setting it is the embedded server of the README', () => {
  expect(readSettings({})).toMatchObject({
    server: { host: '127.0.0.1', port: 5001 },
    database: { location: { kind: 'sqlite', url: 'sqlite:./data/hufu.db' } },
    redis: { url: null },
    phone: { defaultRegion: 'CN' },
    classic: { isServed: true },
    sessions: { lifeMs: 30 * 86_400_000, maxLifeMs: null },
  })
})

const aliyun = {
  HUFU_SMS: 'aliyun',
  HUFU_SMS_ALIYUN_ACCESS_KEY_ID: 'LTAI',
  HUFU_SMS_ALIYUN_ACCESS_KEY_SECRET: 'hunter2',
  HUFU_SMS_ALIYUN_SIGN_NAME: '虎符',
  HUFU_SMS_ALIYUN_CODE_TEMPLATE: 'SMS_154950909',
}

/** An error with this sentence, and with one in Chinese that names the same settings. */
function inBothLanguages(sentence: string) {
  const names = sentence.match(/HUFU_[A-Z_]+/g) ?? expect.fail('it names no setting')
  const named = [...new Set(names)].map((name) => `(?=.*${name})`).join('')
  const zh = new RegExp(`^${named}(?=.*\\p{Script=Han}).*。$`, 'u')
  return expect.objectContaining({ message: sentence, zh: expect.stringMatching(zh) })
}

test.each([
  [{ HUFU_PORT: '70000' }, 'HUFU_PORT must be a whole number from 0 to 65535 (it is "70000").'],
  [{ HUFU_PORT: '-1' }, 'HUFU_PORT must be a whole number from 0 to 65535 (it is "-1").'],
  [{ HUFU_PORT: '' }, 'HUFU_PORT must be a whole number from 0 to 65535 (it is empty).'],
  [
    { HUFU_DEFAULT_REGION: 'China' },
    'HUFU_DEFAULT_REGION must be a region in two capital letters (ISO 3166-1), for example CN (it is "China").',
  ],
  [{ HUFU_CLASSIC_API: 'maybe' }, 'HUFU_CLASSIC_API must be true or false (it is "maybe").'],
  [
    { HUFU_SESSION_SCOPE: 'all' },
    'HUFU_SESSION_SCOPE must be one of: account, platform, device (it is "all").',
  ],
  [
    { HUFU_PROT: '1' },
    'HUFU_PROT is not a setting of Hufu; is HUFU_PORT meant? All settings: docs/settings.md.',
  ],
  [{ HUFU_PORT_FILE: '/x' }, 'HUFU_PORT_FILE is not known: only secrets are read from files; set HUFU_PORT.'],
  [
    { HUFU_REDIS_URL: 'redis://a', HUFU_REDIS_URL_FILE: '/x' },
    'HUFU_REDIS_URL and HUFU_REDIS_URL_FILE contradict each other: set one of them.',
  ],
  [
    { HUFU_REDIS_URL: 'redis+sentinel://:hunter2@a,b' },
    'HUFU_REDIS_URL must end with the name of the primary, as "sentinel monitor" has it: redis+sentinel://host:26379,host:26379/mymaster.',
  ],
  [
    { HUFU_DATABASE_URL: 'sqlite::memory:' },
    'HUFU_DATABASE_URL must name a file: what is only in memory would be lost at every stop.',
  ],
  [
    { HUFU_TEST_NUMBERS_UNTIL: '2027-02-30' },
    'HUFU_TEST_NUMBERS_UNTIL must be a day, for example 2027-01-31 (it is "2027-02-30").',
  ],
  [{ HUFU_LIMITS: 'maybe' }, 'HUFU_LIMITS must be one of: on, off (it is "maybe").'],
  [
    { HUFU_SMS_DAILY_BUDGET: '-1' },
    'HUFU_SMS_DAILY_BUDGET must be a whole number from 0 to 100000000 (it is "-1").',
  ],
  ...[
    '5/10m,20/1h',
    '20/1h,5/10m,60/1d',
    '5/15m,20/1h,60/1d',
    '5,20,60',
    '5/10m,x/1h,60/1d',
    '-1/10m,20/1h,60/1d',
  ].map((value): [Record<string, string>, string] => [
    { HUFU_LIMIT_CODES_PER_ADDRESS: value },
    `HUFU_LIMIT_CODES_PER_ADDRESS must have one count for each of 10m, 1h, 1d, for example 5/10m,20/1h,60/1d (it is "${value}").`,
  ]),
  [
    { HUFU_LIMIT_CODES_PER_NUMBER: '11/1d' },
    'HUFU_LIMIT_CODES_PER_NUMBER must have counts of at least 5/1d and at most 10 (it is "11/1d").',
  ],
  [
    { HUFU_LIMIT_SIGN_INS_PER_ADDRESS: '20/10m,49/1d' },
    'HUFU_LIMIT_SIGN_INS_PER_ADDRESS must have counts of at least 20/10m,50/1d and at most 100000 (it is "20/10m,49/1d").',
  ],
  [
    { HUFU_LIMIT_CODES_PER_ADDRESS: '50/10m,20/1h,60/1d' },
    'HUFU_LIMIT_CODES_PER_ADDRESS must not allow less in a longer time, and 20/1h is less than 50/10m (it is "50/10m,20/1h,60/1d").',
  ],
  [
    { HUFU_LIMIT_NETWORK_FACTOR: '0' },
    'HUFU_LIMIT_NETWORK_FACTOR must be a whole number from 1 to 256 (it is "0").',
  ],
  [
    { HUFU_SESSION_MAX_LIFE_DAYS: '7' },
    'HUFU_SESSION_MAX_LIFE_DAYS must not be less than HUFU_SESSION_LIFE_DAYS.',
  ],
  [
    { HUFU_SESSION_MAX: '0', HUFU_SESSION_WHEN_FULL: 'refuse' },
    'HUFU_SESSION_WHEN_FULL is "refuse", but HUFU_SESSION_MAX is 0, which is never full.',
  ],
  [
    { HUFU_WORKERS: '2' },
    'HUFU_WORKERS is 2, but on SQLite without HUFU_REDIS_URL each process counts sign-ins for itself: set HUFU_REDIS_URL, or use MySQL, MariaDB or PostgreSQL.',
  ],
  [
    { HUFU_SMS: 'sms' },
    'HUFU_SMS must be one of: console, http, aliyun, tencent, twilio; or two different ones with a comma between them, the second for fail-over (it is "sms").',
  ],
  [
    { HUFU_SMS: 'aliyun,aliyun' },
    'HUFU_SMS must be one of: console, http, aliyun, tencent, twilio; or two different ones with a comma between them, the second for fail-over (it is "aliyun,aliyun").',
  ],
  [
    { HUFU_SMS: 'http,aliyun,tencent' },
    'HUFU_SMS must name two drivers at most (it is "http,aliyun,tencent").',
  ],
  [
    { HUFU_SMS: 'aliyun,console' },
    'HUFU_SMS must not combine console with a gateway: codes would be printed instead of sent (it is "aliyun,console").',
  ],
  [
    { HUFU_SMS: 'http' },
    'HUFU_SMS is "http", but HUFU_SMS_HTTP_URL is not set: set it as docs/sms.md says, or use HUFU_SMS=console while you develop.',
  ],
  [
    { HUFU_SMS: 'http', HUFU_SMS_HTTP_URL: 'https://sms.example.com/send' },
    'HUFU_SMS is "http", but HUFU_SMS_HTTP_SECRET is not set: set it as docs/sms.md says, or use HUFU_SMS=console while you develop.',
  ],
  [
    { HUFU_SMS: 'aliyun' },
    'HUFU_SMS is "aliyun", but HUFU_SMS_ALIYUN_ACCESS_KEY_ID is not set: set it as docs/sms.md says, or use HUFU_SMS=console while you develop.',
  ],
  [
    { ...aliyun, HUFU_SMS_ALIYUN_CODE_TEMPLATE: '' },
    'HUFU_SMS is "aliyun", but HUFU_SMS_ALIYUN_CODE_TEMPLATE is not set: set it as docs/sms.md says, or use HUFU_SMS=console while you develop.',
  ],
  [
    { ...aliyun, HUFU_SMS: 'aliyun,tencent' },
    'HUFU_SMS is "aliyun,tencent", but HUFU_SMS_TENCENT_SECRET_ID is not set: set it as docs/sms.md says, or use HUFU_SMS=console while you develop.',
  ],
  [
    { HUFU_SMS: 'twilio' },
    'HUFU_SMS is "twilio", but HUFU_SMS_TWILIO_ACCOUNT_SID is not set: set it as docs/sms.md says, or use HUFU_SMS=console while you develop.',
  ],
  [
    { HUFU_SMS_TENCENT_CODE_TEMPLATE: '1110:minutes' },
    'HUFU_SMS_TENCENT_CODE_TEMPLATE has a list of parameters that is not made of: code, minutes (it is "1110:minutes").',
  ],
  [
    { HUFU_SMS_TENCENT_PHONE_CHANGED_TEMPLATE: '1110:code' },
    'HUFU_SMS_TENCENT_PHONE_CHANGED_TEMPLATE has a list of parameters that is not made of: number (it is "1110:code").',
  ],
  [
    { HUFU_SMS_ALIYUN_CODE_TEMPLATE: 'SMS 1' },
    'HUFU_SMS_ALIYUN_CODE_TEMPLATE must be the id of a template, for example SMS_154950909:code (it is "SMS 1").',
  ],
  [
    { HUFU_SMS_ALIYUN_SIGN_NAME: '【虎符】' },
    'HUFU_SMS_ALIYUN_SIGN_NAME must be the name of the signature alone, without 【】 (it is "【虎符】").',
  ],
  [
    { HUFU_SMS_ALIYUN_ENDPOINT: 'https://dysmsapi.aliyuncs.com/v1' },
    'HUFU_SMS_ALIYUN_ENDPOINT must be https://host or http://host:port, and nothing behind it (it is "https://dysmsapi.aliyuncs.com/v1").',
  ],
  [
    { HUFU_SMS_TWILIO_FROM: '十' },
    'HUFU_SMS_TWILIO_FROM must be a number such as +15005550006, a sender of 11 letters or digits at most, or MG… (it is "十").',
  ],
])('%j stops the start with one sentence that names the setting', (environment, sentence) => {
  expect(() => readSettings(environment as Record<string, string>)).toThrow(inBothLanguages(sentence))
})

test.each(['HUFU_DATABASE_URL', 'HUFU_REDIS_URL'])('a wrong %s is refused without printing it', (name) => {
  for (const value of ['postgres:/hunter2', 'http://user:hunter2@host/', 'hunter2']) {
    const read = () => readSettings({ [name]: value })
    expect(read).toThrow(SettingsError)
    expect(read).toThrow(new RegExp(`^${name} must be `))
    expect(read).not.toThrow(/hunter2/)
  }
})

test.each([
  ['HUFU_SMS_HTTP_URL', 'https://user:hunter2@sms.example.com/'],
  ['HUFU_SMS_HTTP_URL', 'hunter2'],
  ['HUFU_SMS_ALIYUN_ACCESS_KEY_SECRET', 'hunter2 '.repeat(2)],
  ['HUFU_SMS_TENCENT_SECRET_KEY', 'hunter2\nhunter2'],
  ['HUFU_SMS_TWILIO_AUTH_TOKEN', 'hunter2（'],
])('a wrong %s is refused without printing it', (name, value) => {
  const read = () => readSettings({ [name]: value })
  expect(read).toThrow(new RegExp(`^${name} must be `))
  expect(read).not.toThrow(/hunter2/)
})

test('text messages are printed by default, and go to the gateways that are named, in that order', () => {
  expect(readSettings({}).sms.chosen).toEqual(['console'])
  const settings = readSettings({
    ...aliyun,
    HUFU_SMS: 'http, aliyun',
    HUFU_SMS_HTTP_URL: 'https://sms.example.com/send?app=1',
    HUFU_SMS_HTTP_SECRET: 'change-me',
  })
  expect(settings.sms.chosen).toEqual(['http', 'aliyun'])
  expect(settings.sms.drivers.http?.url).toBe('https://sms.example.com/send?app=1')
})

test.each([
  ['HUFU_SMS_ALIYUN_CODE_TEMPLATE', 'SMS_1', ['code']],
  ['HUFU_SMS_ALIYUN_CODE_TEMPLATE', 'SMS_1:code,minutes', ['code', 'minutes']],
  ['HUFU_SMS_TENCENT_CODE_TEMPLATE', '1110', ['code', 'minutes']],
  ['HUFU_SMS_TENCENT_CODE_TEMPLATE', '1110:minutes,code', ['minutes', 'code']],
  ['HUFU_SMS_TENCENT_PHONE_CHANGED_TEMPLATE', '1110', ['number']],
  ['HUFU_SMS_TENCENT_PHONE_CHANGED_TEMPLATE', '1110:', []],
])('%s %s is a template with these parameters, in this order: %j', (name, text, parameters) => {
  const read = settingRows.find((row) => row.name === name)
  expect(read?.parse(text)).toEqual({ id: text.split(':')[0], parameters })
})

test('a secret comes from the file that its _FILE names, without the line end', () => {
  const path = join(folder, 'redis-url')
  writeFileSync(path, 'redis://:hunter2@127.0.0.1:6379\n')
  expect(readSettings({ HUFU_REDIS_URL_FILE: path }).redis.url).toBe('redis://:hunter2@127.0.0.1:6379')
  expect(() => readSettings({ HUFU_REDIS_URL_FILE: join(folder, 'nothing') })).toThrow(
    /^HUFU_REDIS_URL_FILE names a file that cannot be read/,
  )
})

test('every setting has a default that is itself acceptable', () => {
  for (const { name, default: text, parse } of settingRows) {
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
  expect(() => readSettings({ HUFU_TRUSTED_PROXIES: value })).toThrow(inBothLanguages(sentence))
})

test.each([
  ['*', /takes no wildcard: write each origin out/, /不支持通配符/],
  ['https://*.example.com', /takes no wildcard/, /不支持通配符/],
  ['null', /cannot contain null: .*docs\/browsers\.md/, /不能包含 null/],
  ['file://', /cannot contain file:\/\/: .*docs\/browsers\.md/, /不能包含 file/],
  [
    'https://app.example.com/',
    /write https:\/\/app\.example\.com \(/,
    /请写成 https:\/\/app\.example\.com（/,
  ],
  ['https://app.example.com/v1?a#b', /write https:\/\/app\.example\.com \(/, /请写成/],
  ['https://App.Example.com', /write https:\/\/app\.example\.com \(/, /请写成/],
  ['HTTPS://app.example.com', /write https:\/\/app\.example\.com \(/, /请写成/],
  ['https://app.example.com:443', /write https:\/\/app\.example\.com \(/, /请写成/],
  ['http://localhost:80', /write http:\/\/localhost \(/, /请写成/],
  ['https://u:p@app.example.com', /write https:\/\/app\.example\.com \(/, /请写成/],
  ['https://例子.中国', /write https:\/\/xn--fsqu00a\.xn--fiqs8s \(/, /请写成/],
  ['Capacitor://localhost/', /write capacitor:\/\/localhost \(/, /请写成 capacitor/],
  ['localhost:5173', /is no origin: write scheme and host/, /请写成协议加主机/],
  ['app.example.com', /is no origin/, /请写成协议加主机/],
  ['https://', /is no origin/, /请写成协议加主机/],
  ['https://a b', /is no origin/, /请写成协议加主机/],
  ['https://a:99999', /is no origin/, /请写成协议加主机/],
  ['app://bu ndle', /is no origin/, /请写成协议加主机/],
  ['https://a.test https://b.test', /is no origin/, /请写成协议加主机/],
  ['https://a.test,', /has an empty item/, /多余的逗号/],
])('HUFU_ALLOWED_ORIGINS=%s stops the start and says what to write', (value, english, chinese) => {
  try {
    readSettings({ HUFU_ALLOWED_ORIGINS: value })
    expect.fail('it is taken')
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    expect(error.message).toMatch(english)
    expect(error.message).toMatch(/^HUFU_ALLOWED_ORIGINS .*\.$/)
    expect(error.zh).toMatch(chinese)
    expect(error.zh).toMatch(/^HUFU_ALLOWED_ORIGINS .*。$/)
  }
})

test('HUFU_ALLOWED_ORIGINS is empty, or a list of origins as browsers send them', () => {
  expect(readSettings({}).http.allowedOrigins).toEqual([])
  const list = [
    'https://app.example.com',
    'http://localhost:5173',
    'capacitor://localhost',
    'app://bundle',
    'http://[::1]:5173',
    'chrome-extension://aaaabbbbccccddddeeeeffffgggghhhh',
  ]
  const written = `${list.join(' , ')},${list[0]}`
  expect(readSettings({ HUFU_ALLOWED_ORIGINS: written }).http.allowedOrigins).toEqual(list)
})

test('HUFU_TRUSTED_PROXIES is empty, or a list with white space where one likes', () => {
  expect(readSettings({}).http.trustedProxies).toEqual([])
  expect(readSettings({ HUFU_TRUSTED_PROXIES: ' ' }).http.trustedProxies).toEqual([])
  const list = readSettings({ HUFU_TRUSTED_PROXIES: '10.0.0.5, 10.1.0.0/16 ,fd00::/8,::1' }).http
    .trustedProxies
  expect(list).toEqual(['10.0.0.5', '10.1.0.0/16', 'fd00::/8', '::1'])
})

test('limits without settings are those of the table, and a setting changes the counts of its own', () => {
  expect(readSettings({}).limits).toMatchObject({ allowances: defaultAllowances, networkFactor: 5 })
  const written = { HUFU_LIMIT_CODES_PER_ADDRESS: ' 500/10m, 2000/1h ,2000/1d' }
  expect(readSettings(written).limits.allowances).toEqual({
    ...defaultAllowances,
    codesPerAddress: [
      [500, 600],
      [2000, 3_600],
      [2000, 86_400],
    ],
  })
})

test.each([
  'mysql://u:hunter2@db',
  'mysql://u:hunter2@db:3306/',
  'mariadb://u:hunter2@db?ssl=true',
])('%s is refused: it names no database', (url) => {
  expect(() => readSettings({ HUFU_DATABASE_URL: url })).toThrow(
    /^HUFU_DATABASE_URL must be sqlite:<path>, mysql:\/\/user:password@host:port\/database or (?!.*hunter2)/,
  )
})
