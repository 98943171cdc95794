// Every setting once: name, default, unit and meaning. The only reader of the environment.
import { readFileSync } from 'node:fs'
import { isIPv4, isIPv6 } from 'node:net'
import { availableParallelism } from 'node:os'
import { startOfDay } from '../clock.ts'
import { type DatabaseKind, databasePlace } from '../db/place.ts'
import { parseRegion, type Region } from '../phone/phone.ts'
import { redisPlace } from '../redis/place.ts'
import { secretPartsOf } from '../secrets.ts'
import type { Policy } from '../sessions/policy.ts'
import { meantName, parseEnvFile } from './env-file.ts'
import { origins } from './origins.ts'
import { withoutServiceLinks } from './service-links.ts'
import { type Setting, SettingsError, setting, WrongValue } from './setting.ts'
import { missingForSms, smsSettings } from './sms.ts'

function whole(min: number, max: number) {
  return (text: string): number => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new WrongValue(`必须是 ${min} 到 ${max} 的整数`, `must be a whole number from ${min} to ${max}`)
  }
}

function yesOrNo(text: string): boolean {
  if (/^(true|yes|on|1)$/i.test(text)) return true
  if (/^(false|no|off|0)$/i.test(text)) return false
  throw new WrongValue('必须是 true 或 false', 'must be true or false')
}

function oneOf<T extends string>(...words: T[]) {
  return (text: string): T => {
    const word = words.find((known) => known === text)
    if (word) return word
    throw new WrongValue(`必须是其中之一：${words.join('、')}`, `must be one of: ${words.join(', ')}`)
  }
}

function days(text: string): number | null {
  const value = whole(0, 36_500)(text)
  return value === 0 ? null : value * 86_400_000
}

function databaseUrl(text: string): { url: string; kind: DatabaseKind } {
  return { url: text, kind: databasePlace(text).kind }
}

function redisUrl(text: string): string | null {
  if (text === '') return null
  redisPlace(text)
  return text
}

function secret(text: string): string | null {
  if (text === '') return null
  if (text.length >= 32) return text
  throw new WrongValue(
    '至少要有 32 个字符，例如这条命令的输出：openssl rand -base64 33',
    'must have at least 32 characters, for example the output of: openssl rand -base64 33',
  )
}

function timeZone(text: string): string {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone
  } catch {
    throw new WrongValue(
      '必须是 IANA 数据库里的时区，例如 Asia/Shanghai',
      'must be a time zone of the IANA database, for example Asia/Shanghai',
    )
  }
}

/** `+8613800000000=123456,…` -> numbers and their fixed codes. */
function testNumbers(text: string): ReadonlyMap<string, string> {
  const pairs = text === '' ? [] : text.split(',').map((pair) => pair.trim())
  const codes = new Map<string, string>()
  for (const pair of pairs) {
    const [, number, code] = /^(\+[1-9]\d{6,14})=(\d{6})$/.exec(pair) ?? []
    if (number === undefined || code === undefined)
      throw new WrongValue(
        '必须是 E.164 格式的号码，各带六位数字：+8613800000000=123456,…',
        'must be numbers in E.164 with six digits each: +8613800000000=123456,…',
      )
    codes.set(number, code)
  }
  return codes
}

/** The first moment after a day, in UTC: a test number is good through its last day. */
function lastDay(text: string): number | null {
  if (text === '') return null
  const at = startOfDay(text)
  if (at === null)
    throw new WrongValue('必须是日期，例如 2027-01-31', 'must be a day, for example 2027-01-31')
  return at + 86_400_000
}

function region(text: string): Region {
  const known = parseRegion(text)
  if (known) return known
  throw new WrongValue(
    '必须是两个大写字母的地区代码（ISO 3166-1），例如 CN',
    'must be a region in two capital letters (ISO 3166-1), for example CN',
  )
}

function host(text: string): string {
  if (/^[\w.:-]+$/.test(text)) return text
  throw new WrongValue(
    '必须是要监听的地址或主机名，例如 127.0.0.1 或 0.0.0.0',
    'must be an address or a host name to listen on, for example 127.0.0.1 or 0.0.0.0',
  )
}

/** Addresses and CIDR blocks. Never a number of hops and never "all": both let anybody write the header. */
function proxies(text: string): readonly string[] {
  const items = text === '' ? [] : text.split(',').map((item) => item.trim())
  if (items.every(isAddressOrBlock)) return items
  throw new WrongValue(
    '必须是用逗号隔开的地址或 CIDR 网段，例如 10.0.0.5,10.1.0.0/16,fd00::/8；没有代理就留空',
    'must be addresses or CIDR blocks with commas between them, for example 10.0.0.5,10.1.0.0/16,fd00::/8, or empty for no proxy',
  )
}

function isAddressOrBlock(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/')
  // Without a zone, and IPv4 as such: what is compared with it is never IPv4 in IPv6.
  const max = isIPv4(address) ? 32 : isIPv6(address) && !/[%.]|^::ffff:/i.test(address) ? 128 : 0
  const isGood = bits === undefined || (/^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= max)
  return max > 0 && isGood && more.length === 0
}

/** The table. docs/settings.md lists exactly these; a test compares the two. */
export const settingsTable = {
  host: setting({
    name: 'HUFU_HOST',
    default: '127.0.0.1',
    meaning: 'Address to listen on. `0.0.0.0` is every IPv4 address; put TLS in front of it.',
    parse: host,
  }),
  port: setting({
    name: 'HUFU_PORT',
    default: '5001',
    meaning: 'TCP port to listen on. `0` takes any free one.',
    parse: whole(0, 65_535),
  }),
  workers: setting({
    name: 'HUFU_WORKERS',
    default: '1',
    meaning: 'Processes that serve this port together. On SQLite, more than one need Redis.',
    parse: whole(1, 128),
  }),
  database: setting({
    name: 'HUFU_DATABASE_URL',
    default: 'sqlite:./data/hufu.db',
    meaning: 'The truth: `sqlite:<path>`, `mysql://…` (MariaDB too) or `postgres://…`.',
    secret: true,
    parse: databaseUrl,
  }),
  databaseWaitSeconds: setting({
    name: 'HUFU_DATABASE_WAIT_SECONDS',
    default: '30',
    meaning: 'How many seconds a start waits for a database that does not answer yet.',
    parse: whole(0, 3_600),
  }),
  databasePool: setting({
    name: 'HUFU_DATABASE_POOL',
    default: '10',
    meaning: 'Connections to MySQL or PostgreSQL, at most, for each process.',
    parse: whole(1, 500),
  }),
  redis: setting({
    name: 'HUFU_REDIS_URL',
    default: '',
    meaning:
      'Redis or Valkey for hot copies: `redis://…`, `redis+sentinel://…` or `redis+cluster://…`. Empty: none, every check asks the database.',
    secret: true,
    parse: redisUrl,
  }),
  withoutDatabase: setting({
    name: 'HUFU_WITHOUT_DATABASE',
    default: 'refuse',
    meaning:
      'What a check with Redis does while the database is away: `refuse` it (503), or `trust_copies`, which may accept for up to 10 minutes what another server has ended.',
    parse: oneOf('refuse', 'trust_copies'),
  }),
  region: setting({
    name: 'HUFU_DEFAULT_REGION',
    default: 'CN',
    meaning: 'Region of phone numbers written without a country code (ISO 3166-1, two letters).',
    parse: region,
  }),
  trustedProxies: setting({
    name: 'HUFU_TRUSTED_PROXIES',
    default: '',
    meaning:
      'Addresses or CIDR blocks of the proxies in front, with commas: only their `X-Forwarded-For` is believed. Empty: no header is.',
    parse: proxies,
  }),
  allowedOrigins: setting({
    name: 'HUFU_ALLOWED_ORIGINS',
    default: '',
    meaning:
      'Origins of web pages that may call from another origin (CORS), with commas, exactly as browsers send them. Empty: none may.',
    parse: origins,
  }),
  limits: setting({
    name: 'HUFU_LIMITS',
    default: 'on',
    meaning: 'Whether docs/limits.md holds. `off` is only for tests and measurements: anybody may guess.',
    parse: oneOf('on', 'off'),
  }),
  smsDailyBudget: setting({
    name: 'HUFU_SMS_DAILY_BUDGET',
    default: '10000',
    meaning: 'Text messages that the whole installation may send in any 24 hours.',
    parse: whole(0, 100_000_000),
  }),
  classicApi: setting({
    name: 'HUFU_CLASSIC_API',
    default: 'true',
    meaning: "Whether the tutorial's routes (`/`, `/login`, `/user`, `/logout`) are there.",
    parse: yesOrNo,
  }),
  classicTellsUnknown: setting({
    name: 'HUFU_CLASSIC_TELLS_UNKNOWN_NUMBER',
    default: 'true',
    meaning:
      'Whether classic `/login` tells an unknown number from a wrong password, as the tutorial does. `false` makes both answers the same.',
    parse: yesOrNo,
  }),
  sessionLifeMs: setting({
    name: 'HUFU_SESSION_LIFE_DAYS',
    default: '30',
    meaning: 'Days that a session lives after its last use. `0`: for ever.',
    parse: days,
  }),
  sessionMaxLifeMs: setting({
    name: 'HUFU_SESSION_MAX_LIFE_DAYS',
    default: '0',
    meaning: 'Days that a session lives after its start, however much it is used. `0`: no such limit.',
    parse: days,
  }),
  sessionScope: setting({
    name: 'HUFU_SESSION_SCOPE',
    default: 'platform',
    meaning:
      'Which sessions compete for room: those of the `account`, of one `platform`, or of one `device`.',
    parse: oneOf<Policy['scope']>('account', 'platform', 'device'),
  }),
  sessionMax: setting({
    name: 'HUFU_SESSION_MAX',
    default: '1',
    meaning: 'How many live sessions have room in one scope. `0`: any number.',
    parse: whole(0, 1_000),
  }),
  sessionWhenFull: setting({
    name: 'HUFU_SESSION_WHEN_FULL',
    default: 'replace_oldest',
    meaning:
      'What a sign-in does when there is no room: `replace_oldest` ends the oldest session, `refuse` refuses the new one.',
    parse: oneOf<Policy['whenFull']>('replace_oldest', 'refuse'),
  }),
  signUp: setting({
    name: 'HUFU_SIGN_UP',
    default: 'open',
    meaning:
      '`open`: a code for a number without an account makes one. `closed`: only the command line makes accounts.',
    parse: oneOf('open', 'closed'),
  }),
  closingMs: setting({
    name: 'HUFU_CLOSING_DAYS',
    default: '15',
    meaning:
      'Days between the wish to close an account and its removal; signing in takes the wish back. `0`: at once.',
    parse: (text: string) => whole(0, 365)(text) * 86_400_000,
  }),
  eventsLifeMs: setting({
    name: 'HUFU_EVENTS_DAYS',
    default: '180',
    meaning: 'Days that events (sign-ins, failures, changes, bans) are kept. `0`: for ever.',
    parse: days,
  }),
  secret: setting({
    name: 'HUFU_SECRET',
    default: '',
    meaning:
      'Key that codes are made with: 32 characters at least, the same on every server. Empty: a random one, kept in the database.',
    secret: true,
    parse: secret,
  }),
  testNumbers: setting({
    name: 'HUFU_TEST_NUMBERS',
    default: '',
    meaning:
      'Numbers with a fixed code that is never sent, for the reviewers of app stores: `+8613800000000=123456,…`.',
    secret: true,
    parse: testNumbers,
  }),
  testNumbersUntil: setting({
    name: 'HUFU_TEST_NUMBERS_UNTIL',
    default: '',
    meaning: 'Last day (UTC) of the test numbers, for example `2027-01-31`. They are refused without one.',
    parse: lastDay,
  }),
  timeZone: setting({
    name: 'HUFU_TIME_ZONE',
    default: 'Asia/Shanghai',
    meaning: 'Time zone of clock times in messages to people, such as when another device signed in.',
    parse: timeZone,
  }),
  passwordParallel: setting({
    name: 'HUFU_PASSWORD_PARALLEL',
    default: String(Math.max(1, availableParallelism() - 1)),
    meaning:
      'Password hashes computed at once, by all workers together. Default: the number of cores less one (19 MiB of memory each).',
    parse: whole(1, 128),
  }),
  passwordQueue: setting({
    name: 'HUFU_PASSWORD_QUEUE',
    default: '100',
    meaning:
      'Sign-ins that may wait for a password hash, in all workers together; more are answered 503 with `Retry-After` at once.',
    parse: whole(0, 100_000),
  }),
  maxConnections: setting({
    name: 'HUFU_MAX_CONNECTIONS',
    default: '10000',
    meaning:
      'Connections of clients at once, for each process; the next one is answered 503 and closed. Never more than 200 below the limit of open files.',
    parse: whole(1, 1_000_000),
  }),
  logLevel: setting({
    name: 'HUFU_LOG_LEVEL',
    default: 'info',
    meaning: 'What is logged: `debug`, `info` (a line for each request), `warn`, `error` or `silent`.',
    parse: oneOf('debug', 'info', 'warn', 'error', 'silent'),
  }),
  logFormat: setting({
    name: 'HUFU_LOG_FORMAT',
    default: 'auto',
    meaning: '`json`, `text` for people, or `auto`: text where standard output is a terminal.',
    parse: oneOf('auto', 'json', 'text'),
  }),
  ...smsSettings,
}

export type Settings = {
  readonly [Key in keyof typeof settingsTable]: ReturnType<(typeof settingsTable)[Key]['parse']>
}

export { SettingsError } from './setting.ts'

type Environment = Readonly<Record<string, string | undefined>>

const knownNames = () =>
  Object.values(settingsTable).flatMap((row) =>
    'secret' in row ? [row.name, `${row.name}_FILE`] : [row.name],
  )

/** The process's environment over the `.env` file of the folder where the program was started. */
export function readEnvironment(): Environment {
  return { ...readEnvFile('.env'), ...withoutServiceLinks(process.env) }
}

function readEnvFile(path: string): Environment {
  try {
    return parseEnvFile(path, readFileSync(path), knownNames())
  } catch (error) {
    if (error instanceof SettingsError) throw error
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    const why = error instanceof Error ? error.message : error
    throw new SettingsError(`读不了文件 ${path}：${why}。`, `The file ${path} cannot be read: ${why}.`)
  }
}

/** The files that secrets are read from: `.env`, if it has one, and those of `<name>_FILE`. */
export function filesWithSecrets(environment: Environment): string[] {
  const secrets = Object.values(settingsTable).filter((row) => 'secret' in row)
  const files = secrets.map(({ name }) => environment[`${name}_FILE`] ?? '').filter((path) => path !== '')
  const inEnvFile = readEnvFile('.env')
  return secrets.some(({ name }) => inEnvFile[name]) ? ['.env', ...files] : files
}

/**
 * The settings that an environment gives.
 * @throws SettingsError that names the first setting that is wrong, unknown or contradicts another
 */
export function readSettings(environment: Environment): Settings {
  assertNamesKnown(environment)
  const entries = Object.entries(settingsTable).map(([key, description]) => {
    const text = textOf(description, environment)
    try {
      return [key, description.parse(text)] as const
    } catch (error) {
      if (!(error instanceof WrongValue)) throw error
      const isShown = !('secret' in description) && text !== ''
      throw new SettingsError(
        `${description.name} ${error.zh}${isShown ? `（现在是“${text}”）` : ''}。`,
        `${description.name} ${error.message}${isShown ? ` (it is "${text}")` : ''}.`,
      )
    }
  })
  // Each key of the table has been parsed by its own row.
  const settings = Object.fromEntries(entries) as Settings
  assertConsistent(settings)
  return settings
}

/** Every text of the secret settings that must not be printed; also where a setting is wrong. */
export function secretTexts(environment: Environment): string[] {
  return Object.values(settingsTable).flatMap((description) => {
    if (!('secret' in description)) return []
    try {
      return secretPartsOf(textOf(description, environment))
    } catch {
      // A file that cannot be read holds nothing that could be printed.
      return []
    }
  })
}

function textOf(description: Setting<unknown>, environment: Environment): string {
  const { name } = description
  const value = environment[name]
  const file = environment[`${name}_FILE`]
  if (file === undefined || file === '') return value === undefined ? description.default : value.trim()
  if (!description.secret)
    throw new SettingsError(
      `没有 ${name}_FILE 这个设置：只有机密可以从文件读取；请设置 ${name}。`,
      `${name}_FILE is not known: only secrets are read from files; set ${name}.`,
    )
  if (value !== undefined)
    throw new SettingsError(
      `${name} 和 ${name}_FILE 互相矛盾：只设置其中一个。`,
      `${name} and ${name}_FILE contradict each other: set one of them.`,
    )
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    const why = error instanceof Error ? error.message : error
    throw new SettingsError(
      `${name}_FILE 指定的文件读不了：${why}。`,
      `${name}_FILE names a file that cannot be read: ${why}.`,
    )
  }
}

function assertNamesKnown(environment: Environment): void {
  const known = new Set(Object.values(settingsTable).flatMap(({ name }) => [name, `${name}_FILE`]))
  for (const name of Object.keys(environment)) {
    const meant = meantName(name, [...known])
    if (meant !== null)
      throw new SettingsError(
        `${name} 不是设置，应写作 ${meant}。`,
        `${name} is not a setting of Hufu: write ${meant}.`,
      )
    if (name.startsWith('HUFU_') && !known.has(name)) {
      throw new SettingsError(
        `Hufu 没有 ${name} 这个设置；全部设置见 docs/settings.md。`,
        `${name} is not a setting of Hufu; docs/settings.md lists them.`,
      )
    }
  }
}

function assertConsistent(settings: Settings): void {
  const { sessionLifeMs, sessionMaxLifeMs } = settings
  if (sessionLifeMs !== null && sessionMaxLifeMs !== null && sessionMaxLifeMs < sessionLifeMs) {
    throw new SettingsError(
      'HUFU_SESSION_MAX_LIFE_DAYS 不能小于 HUFU_SESSION_LIFE_DAYS。',
      'HUFU_SESSION_MAX_LIFE_DAYS must not be less than HUFU_SESSION_LIFE_DAYS.',
    )
  }
  if (settings.testNumbers.size > 0 && settings.testNumbersUntil === null) {
    throw new SettingsError(
      '设置了 HUFU_TEST_NUMBERS 就要设置 HUFU_TEST_NUMBERS_UNTIL：这些号码使用固定验证码的最后一天。',
      'HUFU_TEST_NUMBERS needs HUFU_TEST_NUMBERS_UNTIL, the last day on which these numbers have a fixed code.',
    )
  }
  if (settings.sessionMax === 0 && settings.sessionWhenFull === 'refuse') {
    throw new SettingsError(
      'HUFU_SESSION_WHEN_FULL 是“refuse”，但 HUFU_SESSION_MAX 是 0，永远不会满。',
      'HUFU_SESSION_WHEN_FULL is "refuse", but HUFU_SESSION_MAX is 0, which is never full.',
    )
  }
  const isAlone = settings.database.kind === 'sqlite' && settings.redis === null
  if (settings.workers > 1 && isAlone && settings.limits === 'on') {
    throw new SettingsError(
      `HUFU_WORKERS 是 ${settings.workers}，但在 SQLite 上没有 HUFU_REDIS_URL 时，登录次数记在各个进程里：请设置 HUFU_REDIS_URL，或改用 MySQL、MariaDB 或 PostgreSQL。`,
      `HUFU_WORKERS is ${settings.workers}, but on SQLite without HUFU_REDIS_URL each process counts sign-ins for itself: set HUFU_REDIS_URL, or use MySQL, MariaDB or PostgreSQL.`,
    )
  }
  const missing = missingForSms(settings)
  if (missing !== null) {
    const drivers = settings.sms.join(',')
    throw new SettingsError(
      `HUFU_SMS 是“${drivers}”，但没有设置 ${missing}。`,
      `HUFU_SMS is "${drivers}", but ${missing} is not set.`,
    )
  }
}
