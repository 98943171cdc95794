// No output or log contains a part of a secret: every reserved character, in every position, of every secret
// setting.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { doctor } from '../../src/cli/doctor.ts'
import { Output } from '../../src/cli/output.ts'
import { logTo } from '../../src/log.ts'
import { redactUrl } from '../../src/redact-url.ts'
import { hiderOf, secretPartsOf } from '../../src/secrets.ts'
import { secretTexts } from '../../src/settings/environment.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { settingRows } from '../../src/settings/table.ts'
import { runCommand } from '../support/app.ts'

/**
 * The reserved characters of RFC 3986, section 2.2, the percent sign, and characters that no URL may contain.
 */
const reserved = [...':/?#[]@!$&\'()*+,;=%"<>\\^`{|} é字\t']
/** The halves of one secret: neither may be visible. */
const [before, after] = ['Zq7xV', 'w4Kpt']
const secretsWith = (sign: string) => [
  `${sign}${before}${after}`,
  `${before}${sign}${after}`,
  `${before}${after}${sign}`,
  `${before}${sign}${sign}${after}`,
]
// Port 9 of this machine: connections are refused at once.
const forms: Readonly<Record<string, (secret: string) => readonly string[]>> = {
  HUFU_DATABASE_URL: (secret) => [
    `mysql://hufu:${secret}@127.0.0.1:9/hufu`,
    `postgres://hufu:${secret}@127.0.0.1:9/hufu`,
    `mysql://hufu:${encodeURIComponent(secret)}@127.0.0.1:9/hufu`,
    `mysql://${secret}@127.0.0.1:9/hufu`,
    `postgres://${secret}:${secret}@127.0.0.1:9/hufu`,
    `mysql+pymysql://hufu:${secret}@127.0.0.1:9/hufu`,
    `postgres://hufu:${secret}@127.0.0.1:9/hufu?sslmode=prefer`,
    `postgres://hufu@127.0.0.1:9/hufu?password=${secret}`,
    secret,
  ],
  HUFU_REDIS_URL: (secret) => [
    `redis://:${secret}@127.0.0.1:9`,
    `redis://hufu:${encodeURIComponent(secret)}@127.0.0.1:9/1`,
    `redis://${secret}@127.0.0.1:9`,
    `redis+sentinel://:${secret}@127.0.0.1:9/main`,
    `redis+sentinel://127.0.0.1:9/main?sentinel_password=${secret}`,
    `redis+sentinel://127.0.0.1:9/main?sentinel_password=${encodeURIComponent(secret)}`,
    `redis+cluster://hufu:${secret}@127.0.0.1:9,127.0.0.1:9`,
    `redis://127.0.0.1:9?password=${secret}`,
    secret,
  ],
  HUFU_SMS_HTTP_URL: (secret) => [
    `http://hufu:${secret}@127.0.0.1:9/send`,
    `http://127.0.0.1:9/send?key=${secret}`,
    secret,
  ],
  HUFU_TEST_NUMBERS: (secret) => [`+8613800000000=${secret}`, secret],
}

let printed = ''
afterEach(() => {
  vi.restoreAllMocks()
  printed = ''
})

/** The output of doctor, with the program's own parsing of settings. */
async function printedWith(environment: Record<string, string>): Promise<string> {
  printed = ''
  for (const stream of [process.stdout, process.stderr])
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      printed += String(text)
      return true
    })
  for (const chinese of [false, true]) {
    const output = new Output({ json: chinese, chinese, hide: hiderOf(secretTexts(environment)) })
    try {
      await doctor({ settings: readSettings(environment), output })
    } catch (error) {
      output.failure(error)
    }
  }
  vi.restoreAllMocks()
  return printed
}

const secretSettings = settingRows.filter((row) => row.secret)

test.each(
  secretSettings.map(({ name }) => name),
)('%s is never printed, also where it is wrong', async (name) => {
  const formsOf = forms[name] ?? ((secret: string) => [secret])
  const cases = reserved
    .flatMap(secretsWith)
    .flatMap(formsOf)
    // The text before a ":" is a user, and no secret.
    .filter((value) => !/\/\/(Zq7xV)(w4Kpt)?:+[^@]/.test(value))
  for (const value of new Set(cases)) {
    const text = await printedWith({ HUFU_SMS: 'console', [name]: value })
    const seen = [before, after].filter((half) => text.includes(half))
    expect({ value, seen, text: seen.length > 0 ? text : '' }).toEqual({ value, seen: [], text: '' })
    expect(text).not.toBe('')
  }
})

describe('every command and the server, with a password that breaks URLs', () => {
  test.each([
    ['mysql://hufu:Zq7xV@w4Kpt/1@127.0.0.1:9/hufu', 2],
    ['mysql://hufu:Zq7xV/w4Kpt@127.0.0.1:9/hufu', 2],
    ['postgres://hufu:Zq7xV?w4Kpt#1@127.0.0.1:9/hufu', 2],
    ['postgres://hufu:Zq7xV%40w4Kpt%2F1@127.0.0.1:9/hufu', 3],
  ])('%s', async (url, code) => {
    const environment = { HUFU_DATABASE_URL: url, HUFU_DATABASE_WAIT_SECONDS: '0' }
    for (const args of [
      ['serve'],
      ['migrate'],
      ['doctor'],
      ['accounts', 'list'],
      ['accounts', 'show', '13800005223'],
      ['sessions', 'end', 'x', '--json'],
    ]) {
      const { stdout, stderr, ...result } = await runCommand(args, environment)
      expect(`${args} ${stdout}${stderr}`).not.toMatch(/Zq7xV|w4Kpt/)
      expect({ args, code: result.code }).toEqual({
        args,
        code: args[0] === 'doctor' && code === 3 ? 1 : code,
      })
      if (code === 2)
        expect(stderr).toMatch(/HUFU_DATABASE_URL has special characters .* percent-encode .* %40/)
    }
  })

  test('redis://secret@host is refused with the spelling of a password alone', async () => {
    const result = await runCommand(['doctor'], { HUFU_REDIS_URL: 'redis://hunter2@127.0.0.1:9' })
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toMatch(/^HUFU_REDIS_URL has no ":" before the "@": write redis:\/\/:password@host/)
    expect(result.stderr).not.toContain('hunter2')
  })
})

test('an unchecked URL is shown without anything before its last "@"', () => {
  for (const [url, shown] of [
    ['mysql://hufu:hunter2@db:3306/hufu?ssl-mode=REQUIRED', 'mysql://hufu:***@db:3306/hufu'],
    ['mysql://hufu:p@ss/1@host/db', 'mysql://hufu:***@host/db'],
    ['mysql://hufu:p?ss#1@host/db?a=b', 'mysql://hufu:***@host/db'],
    ['redis://secret@host', 'redis://***@host'],
    ['redis://secret:@host', 'redis://***@host'],
    ['redis://:hunter2@host:6379/0', 'redis://:***@host:6379/0'],
    [
      'redis+sentinel://me:hunter2@a,b:26380/main?sentinel_password=hunter2',
      'redis+sentinel://me:***@a,b:26380/main',
    ],
    ['rediss+cluster://:hunter2@a:1,b:2', 'rediss+cluster://:***@a:1,b:2'],
    ['sqlite:./data/hufu.db', 'sqlite:./data/hufu.db'],
  ] as const)
    expect(redactUrl(url)).toBe(shown)
})

test('a driver error that quotes its URL is logged and printed without the password', () => {
  const url = 'mysql://hufu:s3cret%40word@db/hufu'
  const hide = hiderOf(secretPartsOf(url))
  const lines: string[] = []
  const { logger } = logTo({ write: (line) => lines.push(line) }, 'info', hide)
  const error = Object.assign(new TypeError(`Invalid URL: ${url}`), { input: url, code: 'ERR_INVALID_URL' })
  logger.error({ err: error }, 'database')
  logger.error({ err: new Error('password s3cret@word refused', { cause: error }) }, 'database')
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  new Output({ json: false, chinese: false, hide }).failure(error)
  new Output({ json: true, chinese: false, hide }).failure(error)
  const text = lines.join('') + stderr.mock.calls.join()
  expect(lines).toHaveLength(2)
  expect(text).toContain('***')
  expect(text).not.toContain('s3cret')
})
