// The command line as scripts and operators use it: output, JSON, exit codes, and its effect on a running
// server.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Output } from '../../src/cli/output.ts'
import { redactUrl } from '../../src/redact-url.ts'
import { type CommandResult, person, runCommand, type ServerProcess, startProcess } from '../support/app.ts'
import { redisUrl } from '../support/databases.ts'
import { freePort } from '../support/services/ports.ts'
import { startRedis } from '../support/services/redis.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'hufu-cli-'))
const environment = { HUFU_DATABASE_URL: `sqlite:${join(folder, 'hufu.db')}` }
const hufu = (args: string[], stdin?: string, more: Record<string, string> = {}) =>
  runCommand(args, { ...environment, ...more }, stdin === undefined ? {} : { stdin })

const add = (phone: string, ...more: string[]) =>
  hufu(
    ['accounts', 'add', phone, '--password-stdin', '--allow-weak-password', ...more],
    `${person.password}\n`,
  )

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A request that the server has certainly started: it has answered 100 Continue, and waits for the body. */
async function askedToGoOn(url: string) {
  const request = http.request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', expect: '100-continue' },
  })
  request.flushHeaders()
  await once(request, 'continue')
  const finish = async (body: string) => {
    request.end(body)
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    return {
      status: response.statusCode,
      connection: response.headers.connection,
      text: await text(response),
    }
  }
  return { finish }
}

/** A request that the server's kernel has received, but perhaps not the server yet. */
async function sentRequests(url: string, count: number) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const answer = text(socket)
  const request =
    'POST /v1/sessions HTTP/1.1\r\nHost: hufu\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}'
  await new Promise<void>((resolve) => socket.write(request.repeat(count), () => resolve()))
  return { answer }
}

function json(result: CommandResult): unknown {
  return JSON.parse(result.stdout)
}

describe('accounts', () => {
  test('add creates an account before the first start of a server, and prints so', async () => {
    const added = await add(person.phone, '--nickname', person.nickname, '--json')
    expect(added).toMatchObject({ code: 0, stderr: '' })
    expect(json(added)).toMatchObject({
      phone_number: '+8612345678901',
      nickname: person.nickname,
      state: 'active',
      has_password: true,
    })
    const again = await add('+86 123 4567 8901')
    expect(again).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('has an account already'),
    })
  })

  test('add refuses a weak password unless it is allowed explicitly, in the language of the terminal', async () => {
    const refused = await hufu(['accounts', 'add', '13800005223', '--password-stdin'], '123456', {
      LANG: 'zh_CN.UTF-8',
    })
    expect(refused).toMatchObject({
      code: 1,
      stdout: '',
      stderr: '密码太短，至少 8 个字符（演示可加 --allow-weak-password）\n',
    })
  })

  test('add refuses a password that no sign-in could send, also where weak ones are allowed', async () => {
    const args = ['accounts', 'add', '13900005224', '--password-stdin']
    // The second one has half as many characters after Unicode normalization.
    for (const password of ['x'.repeat(257), 'e\u0301'.repeat(129)])
      for (const weak of [[], ['--allow-weak-password']])
        expect(await hufu([...args, ...weak], password)).toMatchObject({
          code: 1,
          stdout: '',
          stderr: 'The password is too long: use at most 256 characters\n',
        })
  })

  test.each([
    [['accounts', 'add', '13800005223'], undefined, /There is no terminal to ask for a password/],
    [['accounts', 'add', '13800005223', '--password-stdin'], '\n', /The password must not be empty/],
    [
      ['accounts', 'add', '13800005223', '--password-stdin', '--nickname', 'x'.repeat(65)],
      'secret-enough',
      /64 characters at most/,
    ],
    ...['', '\u3164', '\u200b', 'a\nb', 'a\u202eb'].flatMap(
      (text): [string[], string | undefined, RegExp][] => [
        [
          ['accounts', 'add', '13800005223', '--password-stdin', '--nickname', text],
          'secret-enough',
          /^--nickname must be visible text without control characters/,
        ],
        [
          ['accounts', 'ban', person.phone, '--reason', text],
          undefined,
          /^--reason must be visible text without control characters/,
        ],
      ],
    ),
    [['accounts', 'add'], undefined, /<phone> is missing/],
    [['sessions', 'end'], undefined, /^The id of a session is missing/],
    // As in a script whose variable with the number is empty.
    [['sessions', 'end', '--all'], undefined, /sessions of all accounts end\..* add --yes/],
    [['sessions', 'end', '--yes'], undefined, /^The id of a session is missing/],
    [['sessions', 'end', person.phone, '--before', '2026-01-01'], undefined, /together with --all/],
    ...['2026-02-30', '2026-1-1', 'yesterday', '2999-01-01'].map((time): [string[], undefined, RegExp] => [
      ['sessions', 'end', '--all', '--yes', '--before', time],
      undefined,
      /^--before must be a day or a moment that is past/,
    ]),
    [['nothing'], undefined, /There is no command "nothing"/],
    [['accounts', 'list', '--nothing'], undefined, /There is no option "--nothing"/],
  ])('%j is a wrong call: exit code 2 and a sentence', async (args, stdin, sentence) => {
    const result = await hufu(args, stdin)
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toMatch(sentence)
  })

  test('an impossible number is refused, and an unknown one is not found', async () => {
    expect(await hufu(['accounts', 'show', 'abc'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Enter a valid phone number \("abc"\)\. Use digits/),
    })
    const unknown = await hufu(['accounts', 'show', '13800005224', '--json'])
    expect(unknown).toMatchObject({ code: 1, stdout: '' })
    expect(JSON.parse(unknown.stderr)).toMatchObject({ error: 'account_not_found' })
  })

  test('list streams every account in order of registration, a line each, and stops with its reader', async () => {
    const listed = await hufu(['accounts', 'list', '--json'])
    const numbers = listed.stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { phone_number: string }).phone_number)
    expect(numbers).toEqual(['+8612345678901'])
  })
})

describe('with a running server', () => {
  let server: ServerProcess

  beforeAll(async () => {
    server = await startProcess(environment)
  })
  afterAll(async () => {
    expect(await server.stop()).toBe(0)
  })

  async function login(): Promise<string> {
    const body = JSON.stringify({ phone_number: person.phone, password: person.password })
    const response = await fetch(`${server.url}/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    // A successful sign-in has a token.
    return ((await response.json()) as { token: string }).token
  }

  test('show prints app_online and the live sessions, and a session that is ended is refused by the server at once', async () => {
    const token = await login()
    const shown = json(await hufu(['accounts', 'show', person.phone, '--json'])) as {
      sessions: { id: string }[]
    }
    expect(shown).toMatchObject({ app_online: true, sessions: [{ platform: 'classic' }] })
    const id = shown.sessions[0]?.id ?? expect.fail()
    expect((await hufu(['sessions', 'list', person.phone])).stdout).toContain(id)

    expect(json(await hufu(['sessions', 'end', id, '--json']))).toEqual({ id, ended: true })
    const userAnswer = await fetch(`${server.url}/user`, { headers: { token } })
    expect(await userAnswer.json()).toEqual({ code: 2, message: '验证信息错误' })
    const why = await fetch(`${server.url}/v1/session`, { headers: { authorization: `Bearer ${token}` } })
    expect(await why.json()).toMatchObject({ code: 'session_kicked' })

    expect(json(await hufu(['sessions', 'end', id, '--json']))).toEqual({ id, ended: false })
    expect(await hufu(['sessions', 'end', 'nothing'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^There is no session with the id nothing\./),
    })
    expect(json(await hufu(['accounts', 'show', person.phone, '--json']))).toMatchObject({
      app_online: false,
      sessions: [],
    })
  })

  test('end --all ends the sessions of an account, and without a number those of all accounts, and --before spares newer ones', async () => {
    const other = '+8613800005291'
    await add(other)
    const login = async (phone: string) => {
      const response = await fetch(`${server.url}/v1/sessions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          phone_number: phone,
          password: person.password,
          device: { platform: 'ios' },
        }),
      })
      // A successful sign-in has a token.
      return ((await response.json()) as { token: string }).token
    }
    const codeOf = async (token: string) => {
      const why = await fetch(`${server.url}/v1/session`, { headers: { authorization: `Bearer ${token}` } })
      return why.ok ? 'live' : ((await why.json()) as { code: string }).code
    }
    const tokens = [await login(person.phone), await login(other)]
    const codes = () => Promise.all(tokens.map(codeOf))
    const end = async (...args: string[]) => json(await hufu(['sessions', 'end', '--all', ...args, '--json']))

    const yesterday = new Date(Date.now() - 86_400_000).toISOString()
    expect(await end('--before', yesterday, '--yes')).toEqual({ accounts: 0, ended: 0, failed: 0 })
    expect(await end('--before', yesterday, other)).toMatchObject({ ended: 0 })
    expect(await codes()).toEqual(['live', 'live'])
    expect(await end('--before', new Date().toISOString(), other)).toMatchObject({ ended: 1 })
    expect(await codes()).toEqual(['live', 'session_kicked'])
    tokens[1] = await login(other)
    expect(await end('--yes')).toEqual({ accounts: 2, ended: 2, failed: 0 })
    expect(await codes()).toEqual(['session_kicked', 'session_kicked'])
    expect(await end('--yes')).toEqual({ accounts: 0, ended: 0, failed: 0 })
    const said = await hufu(['sessions', 'end', '--all', '--yes'], undefined, { LANG: 'zh_CN.UTF-8' })
    expect(said).toMatchObject({ code: 0, stdout: '已结束 0 个账号的 0 个会话，所有服务器立即生效。\n' })
  })

  test('the demo runs the walkthrough in both languages, and its exit code says whether all was as in the tutorial', async () => {
    for (const [language, sentence] of [
      ['en_US.UTF-8', 'Everything is as in the tutorial.'],
      ['zh_CN.UTF-8', '全部与教程一致。'],
    ] as const) {
      const walked = await hufu(['demo', '--url', server.url], undefined, { LANG: language })
      expect(walked).toMatchObject({ code: 0, stderr: '' })
      expect(walked.stdout).toContain(sentence)
      expect(walked.stdout).not.toMatch(/hf_\w{30}/)
    }
  })

  test('without a server the demo says what to start', async () => {
    const port = await freePort()
    const lost = await hufu(['demo', '--url', `http://127.0.0.1:${port}`])
    expect(lost).toMatchObject({ code: 2 })
    expect(lost.stderr).toContain('npm start')
  })

  test('of two servers on one port, the second one says which setting to change', async () => {
    const second = await hufu(['serve'], undefined, { HUFU_PORT: new URL(server.url).port })
    expect(second).toMatchObject({ code: 2, stdout: '' })
    expect(second.stderr).toMatch(/^HUFU_PORT \d+ is in use by another program/)
  })
})

describe('doctor', () => {
  test('finds nothing wrong with the embedded server', async () => {
    const result = await hufu(['doctor', '--json'])
    const findings = result.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { check: string; status: string })
    expect(result.code).toBe(0)
    expect(findings.map(({ check, status }) => `${check} ${status}`)).toEqual([
      'settings ok',
      // No error in a trial, though phones would connect through a proxy.
      'proxies warning',
      'database ok',
      'schema ok',
      'disk ok',
      'redis ok',
      // Codes are printed, not sent.
      'sms warning',
    ])
  })

  test.each([
    [{}, true],
    [{ HUFU_HOST: '::1' }, true],
    [{ HUFU_HOST: 'localhost' }, true],
    [{ HUFU_HOST: '0.0.0.0' }, false],
    [{ HUFU_HOST: '10.0.0.9' }, false],
    [{ HUFU_TRUSTED_PROXIES: '127.0.0.1' }, false],
  ])('with %o warns of a proxy that is not listed: %s', async (settings, isWarned) => {
    const { code, stdout } = await hufu(['doctor'], undefined, settings as Record<string, string>)
    expect(code).toBe(0)
    expect(
      /^! proxies +no proxy is set: behind one, set its address in HUFU_TRUSTED_PROXIES, /m.test(stdout),
    ).toBe(isWarned)
  })

  test('names an unreachable database and an unreachable Redis, without their passwords', async () => {
    const port = await freePort()
    const result = await hufu(['doctor'], undefined, {
      HUFU_DATABASE_URL: `mysql://hufu:hunter2@127.0.0.1:${port}/hufu`,
      HUFU_REDIS_URL: `redis://:hunter2@127.0.0.1:${port}`,
    })
    expect(result.code).toBe(1)
    expect(result.stdout).toMatch(/✗ database .*ECONNREFUSED.*HUFU_DATABASE_URL/)
    expect(result.stdout).toMatch(/! redis .*HUFU_REDIS_URL/)
    expect(result.stdout + result.stderr).not.toContain('hunter2')
  })

  test('tries to create a file in the folder of the embedded database, and leaves nothing behind', async () => {
    const cwd = mkdtempSync(join(folder, 'doctor-'))
    const good = await hufu(['doctor'], undefined, { HUFU_DATABASE_URL: `sqlite:${cwd}/data/x.db` })
    expect(good.stdout).toMatch(/✓ database .* will be made at the first start/)
    expect(readdirSync(cwd)).toEqual([])
    // A file without tables, as "create database" leaves one.
    writeFileSync(join(cwd, 'empty.db'), '')
    const empty = await hufu(['doctor'], undefined, { HUFU_DATABASE_URL: `sqlite:${cwd}/empty.db` })
    expect(empty.stdout).toMatch(
      /^! schema +empty; the first start creates the tables, and so does npm run -s hufu -- migrate$/m,
    )
    // The permissions allow writing, at least to root; but no process can write there.
    const bad = await hufu(['doctor'], undefined, { HUFU_DATABASE_URL: 'sqlite:/proc/x.db' })
    expect(bad).toMatchObject({ code: 1, stdout: expect.stringMatching(/✗ database .*HUFU_DATABASE_URL/) })
  })

  test('warns of data and secrets that other users of the machine can read', async () => {
    // The parent folders must be open as well; the temporary folder of tests is not.
    const cwd = mkdtempSync(join('/tmp', 'hufu-doctor-'))
    try {
      chmodSync(cwd, 0o755)
      const files = ['hufu.db', '.env', 'redis-url'].map((name) => join(cwd, name))
      const [database = '', env = '', redis = ''] = files
      writeFileSync(database, '')
      writeFileSync(env, `HUFU_SECRET='${'x'.repeat(32)}'\n`)
      writeFileSync(redis, '\n')
      const settings = { HUFU_DATABASE_URL: `sqlite:${database}`, HUFU_REDIS_URL_FILE: redis }
      const warned = async () =>
        [
          ...(await runCommand(['doctor'], settings, { cwd })).stdout.matchAll(
            /^! files +(\S+) can be read .*chmod 600/gm,
          ),
        ].map(([, path]) => path)
      for (const path of files) chmodSync(path, 0o644)
      expect(await warned()).toEqual(files)
      for (const path of files) chmodSync(path, 0o640)
      expect(await warned()).toEqual([])
      for (const path of files) chmodSync(path, 0o644)
      chmodSync(cwd, 0o700)
      expect(await warned()).toEqual([])
    } finally {
      rmSync(cwd, { recursive: true })
    }
  })

  test.skipIf(redisUrl() === null)('accepts a Redis that it can use', async () => {
    const result = await hufu(['doctor'], undefined, { HUFU_REDIS_URL: redisUrl() ?? '' })
    expect(result).toMatchObject({ code: 0 })
    expect(result.stdout).toMatch(/✓ redis .*\(\d+\.\d+/)
  })
})

test('without limits the start message and doctor say so, and with them neither does', async () => {
  const off = await startProcess({ ...environment, HUFU_LIMITS: 'off' })
  await off.stop()
  expect(off.output()).toMatch(/HUFU_LIMITS=off: guesses of passwords and codes are not limited/)
  const on = await startProcess({ ...environment, HUFU_LIMITS: 'on' })
  await on.stop()
  expect(on.output()).not.toContain('HUFU_LIMITS')
  const warned = await hufu(['doctor'], undefined, { HUFU_LIMITS: 'off' })
  expect(warned).toMatchObject({ code: 0, stdout: expect.stringMatching(/! limits .*HUFU_LIMITS=off/) })
  expect((await hufu(['doctor'])).stdout).not.toContain('HUFU_LIMITS')
})

test('the start message and doctor report test numbers whose last day is past, but no future ones', async () => {
  const over = { HUFU_TEST_NUMBERS: '+8613800000000=123456', HUFU_TEST_NUMBERS_UNTIL: '2020-01-31' }
  const server = await startProcess({ ...environment, ...over })
  await server.stop()
  expect(server.output()).toMatch(/HUFU_TEST_NUMBERS_UNTIL is past/)
  expect((await hufu(['doctor'], undefined, over)).stdout).toMatch(/! sms .*HUFU_TEST_NUMBERS_UNTIL is past/)
  const later = { ...over, HUFU_TEST_NUMBERS_UNTIL: '2999-01-31' }
  expect((await hufu(['doctor'], undefined, later)).stdout).not.toContain('HUFU_TEST_NUMBERS_UNTIL')
})

describe('accounts ban', () => {
  test.each([
    '2999-02-30',
    '2999-02-30T12:00:00Z',
    '2999-13-01',
    '2999-1-1',
    '2020-01-31',
    'tomorrow',
  ])('refuses the end %s, which no calendar has to come', async (until) => {
    const result = await hufu(['accounts', 'ban', person.phone, '--until', until])
    expect(result).toMatchObject({ code: 2, stderr: expect.stringMatching(/^--until must be a day/) })
  })

  test('with an end does not replace a permanent one', async () => {
    const phone = '13800005278'
    await add(phone)
    const ban = (...options: string[]) => hufu(['accounts', 'ban', phone, ...options])
    expect((await ban('--until', '2999-01-31')).code).toBe(0)
    expect((await ban('--reason', 'fraud')).code).toBe(0)
    expect(await ban('--until', '2999-01-31')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^13800005278 is banned for ever\. To end the ban: .*accounts unban 13800005278\n$/,
      ),
    })
    expect(json(await hufu(['accounts', 'show', phone, '--json']))).toMatchObject({
      state: 'banned',
      banned_until: null,
      ban_reason: 'fraud',
    })
    // Another reason for the same ban.
    expect((await ban('--reason', 'more fraud')).code).toBe(0)
    expect((await hufu(['accounts', 'unban', phone])).code).toBe(0)
    expect((await ban('--until', '2999-01-31')).code).toBe(0)
  })

  test('that has ended is not shown', async () => {
    const phone = '13800005277'
    await add(phone)
    expect((await hufu(['accounts', 'ban', phone, '--until', '2999-01-31'])).code).toBe(0)
    expect(json(await hufu(['accounts', 'show', phone, '--json']))).toMatchObject({ state: 'banned' })
    const file = new DatabaseSync(join(folder, 'hufu.db'))
    file.exec(
      `update hufu_accounts set banned_until = ${Date.now() - 1000} where phone_number = '+86${phone}'`,
    )
    file.close()
    expect(json(await hufu(['accounts', 'show', phone, '--json']))).toMatchObject({ state: 'active' })
    const shown = await hufu(['accounts', 'show', phone])
    expect(shown.stdout).toMatch(/^state +active$/m)
    expect(shown.stdout).not.toContain('banned')
    expect((await hufu(['accounts', 'list'])).stdout).toMatch(/\+8613800005277 +active/)
  })
})

describe('accounts unlock', () => {
  test('on SQLite without Redis it says where the counters are', async () => {
    const result = await hufu(['accounts', 'unlock', person.phone])
    expect(result).toMatchObject({ code: 2, stderr: expect.stringMatching(/restart it/) })
  })

  test.skipIf(redisUrl() === null)('lets an account sign in again after too many failures', async () => {
    const redis = { HUFU_REDIS_URL: redisUrl() ?? '' }
    const server = await startProcess({ ...environment, ...redis, HUFU_LIMITS: 'on' })
    const phone = '13800005299'
    const signIn = async (password: string) => {
      const response = await fetch(`${server.url}/v1/sessions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ phone_number: phone, password }),
      })
      await response.text()
      return response.status
    }
    await hufu(['accounts', 'add', phone, '--password-stdin'], 'a good password', redis)
    for (let i = 0; i < 5; i++) expect(await signIn('wrong')).toBe(401)
    expect(await signIn('a good password')).toBe(429)
    const result = await hufu(['accounts', 'unlock', phone, '--json'], undefined, redis)
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(result.stdout)).toEqual({ phone_number: '+8613800005299', unlocked: true })
    expect(await signIn('a good password')).toBe(201)
    await server.stop()
  })
})

describe('start', () => {
  test('the start message names a Redis that does not run', async () => {
    const port = await freePort()
    const server = await startProcess({
      ...environment,
      HUFU_REDIS_URL: `redis://:hunter2@127.0.0.1:${port}`,
    })
    await expect.poll(server.output).toContain(`  Redis  redis://:***@127.0.0.1:${port} (does not answer)\n`)
    await server.stop()
  })

  test.skipIf(redisUrl() === null)('the start message opens no connection of its own to Redis', async () => {
    const redis = await startRedis()
    const received = async () =>
      Number(/^total_connections_received:(\d+)/m.exec(String(await redis.command('INFO', 'stats')))?.[1])
    const before = await received()
    const server = await startProcess({ ...environment, HUFU_REDIS_URL: redis.url })
    expect(server.output()).toContain(`  Redis  ${redactUrl(redis.url)}\n`)
    // That of the session cache, and that of the second question.
    expect((await received()) - before).toBe(2)
    await server.stop()
    await redis.stop()
  })

  test('the start waits for a missing database as long as configured, and then names it in one sentence', async () => {
    const port = await freePort()
    const result = await hufu(['serve'], undefined, {
      HUFU_DATABASE_URL: `postgres://hufu:hunter2@127.0.0.1:${port}/hufu`,
      HUFU_DATABASE_WAIT_SECONDS: '1',
    })
    expect(result).toMatchObject({ code: 3, stdout: '' })
    const [waiting, sentence] = result.stderr.trim().split('\n')
    expect(waiting).toMatch(
      /^Waiting up to 1 s for the database at postgres:\/\/hufu:\*\*\*@127\.0\.0\.1:\d+\/hufu: .*ECONNREFUSED/,
    )
    expect(sentence).toMatch(/HUFU_DATABASE_URL/)
    expect(result.stderr).not.toContain('hunter2')
  })

  test.each([
    ['serve', 'sqlite:/proc/x.db', 'unable to open database file'],
    ['serve', `sqlite:${folder}`, 'unable to open database file'],
    ['serve', `sqlite:${main}`, 'file is not a database'],
    ['migrate', `sqlite:${main}`, 'file is not a database'],
  ])('%s on a file that no waiting makes a database (%s) ends at once with one sentence', async (command, url, why) => {
    const began = performance.now()
    const result = await hufu([command], undefined, { HUFU_DATABASE_URL: url })
    const path = url.slice(7)
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toContain(`HUFU_DATABASE_URL names a file that cannot be used: ${why} (${path}). `)
    expect(result.stderr).toMatch(/^.* another file, for example sqlite:\/var\/lib\/hufu\/hufu\.db\.\n$/)
    expect(performance.now() - began).toBeLessThan(10_000)
  })

  test('the start waits for an embedded database that another program locks, and then names it in one sentence', async () => {
    const path = join(folder, 'held.db')
    const holder = new DatabaseSync(path)
    holder.exec('begin exclusive')
    const result = await hufu(['serve'], undefined, {
      HUFU_DATABASE_URL: `sqlite:${path}`,
      HUFU_DATABASE_WAIT_SECONDS: '3',
    })
    holder.close()
    expect(result).toMatchObject({ code: 3, stdout: '' })
    expect(result.stderr).toMatch(
      /^Waiting up to 3 s .*\nAnother program holds the file .*database is locked.*stop it, or correct HUFU_DATABASE_URL\n$/,
    )
  })

  test('a database that cannot be written to is called read-only, not busy', () => {
    const path = join(folder, 'read-only.db')
    new DatabaseSync(path).close()
    const file = new DatabaseSync(path, { readOnly: true })
    const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    try {
      file.exec('create table x (y)')
      expect.fail('it was written to')
    } catch (error) {
      expect(new Output({ json: false, chinese: false }).failure(error)).toBe(3)
      expect(stderr.mock.calls.join()).toMatch(/^The database is read-only, .*HUFU_DATABASE_URL/)
    } finally {
      stderr.mockRestore()
    }
  })

  test('settings also come from .env, the environment takes precedence, and a wrong one there stops the start', async () => {
    const cwd = mkdtempSync(join(folder, 'env-'))
    writeFileSync(join(cwd, '.env'), 'HUFU_PORT=notanumber\nHUFU_CLASSIC_API=false\n')
    const wrong = await runCommand(['serve'], environment, { cwd })
    expect(wrong).toMatchObject({
      code: 2,
      stderr: 'HUFU_PORT must be a whole number from 0 to 65535 (it is "notanumber").\n',
    })
    const server = await startProcess({ ...environment, HUFU_PORT: '0' }, { cwd })
    expect((await fetch(`${server.url}/user`)).status).toBe(404)
    expect(server.output()).not.toContain('/login')
    await server.stop()
  })

  test('a line of .env without "=" stops the start, with its number and not with its content', async () => {
    const cwd = mkdtempSync(join(folder, 'env-'))
    writeFileSync(join(cwd, '.env'), '# mine\nHUFU_PORT=5002\n\nexport HUFU_SECRET hunter2\nOTHER\n')
    const wrong = await runCommand(['migrate'], environment, { cwd })
    expect(wrong).toMatchObject({
      code: 2,
      stderr: 'Line 4 of .env: there is no "=" after HUFU_SECRET; write HUFU_SECRET=value.\n',
    })
  })

  test('a byte order mark at the start of .env does not affect its first line', async () => {
    const cwd = mkdtempSync(join(folder, 'env-'))
    writeFileSync(join(cwd, '.env'), '\uFEFFHUFU_DATABASE_URL=sqlite:./elsewhere.db\r\nHUFU_LIMITS=on\r\n')
    const result = await runCommand(['migrate'], {}, { cwd })
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(readdirSync(cwd).toSorted()).toEqual(expect.arrayContaining(['.env', 'elsewhere.db']))
    expect(readdirSync(cwd)).not.toContain('data')
  })

  test('the variables of Kubernetes Services called hufu and hufu-redis stop nothing, and .env still counts', async () => {
    const cwd = mkdtempSync(join(folder, 'links-'))
    writeFileSync(join(cwd, '.env'), 'HUFU_PORT=0\n')
    const links = {
      HUFU_SERVICE_HOST: '10.96.12.7',
      HUFU_SERVICE_PORT: '5001',
      HUFU_SERVICE_PORT_HTTP: '5001',
      HUFU_PORT: 'tcp://10.96.12.7:5001',
      HUFU_PORT_5001_TCP: 'tcp://10.96.12.7:5001',
      HUFU_PORT_5001_TCP_PROTO: 'tcp',
      HUFU_PORT_5001_TCP_PORT: '5001',
      HUFU_PORT_5001_TCP_ADDR: '10.96.12.7',
      HUFU_REDIS_SERVICE_HOST: 'fd00::1',
      HUFU_REDIS_SERVICE_PORT: '6379',
      HUFU_REDIS_PORT: 'tcp://[fd00::1]:6379',
      HUFU_REDIS_PORT_6379_TCP: 'tcp://[fd00::1]:6379',
      HUFU_REDIS_PORT_6379_TCP_ADDR: 'fd00::1',
      HUFU_REDIS_PORT_6379_TCP_PORT: '6379',
      HUFU_REDIS_PORT_6379_TCP_PROTO: 'tcp',
    }
    const server = await startProcess({ ...environment, ...links }, { cwd })
    expect(new URL(server.url).port).not.toBe('5001')
    expect((await runCommand(['accounts', 'list'], { ...environment, ...links }, { cwd })).code).toBe(0)
    await server.stop()
    // Exactly these forms: every other one is an error.
    for (const wrong of [
      { HUFU_PORT: 'tcp://hufu' },
      { HUFU_SERVICE_HOST: 'hufu.default.svc' },
      { HUFU_SERVICE_PORTS: '5001' },
      { HUFU_PORT_5001_TCP_PROTO: 'sctp6' },
      { hufu_limits: 'off' },
    ])
      expect(await runCommand(['migrate'], { ...environment, ...wrong }, { cwd })).toMatchObject({ code: 2 })
  })

  test('the file of the embedded database is for its owner alone from its first byte, with the files beside it', async () => {
    const cwd = mkdtempSync(join(folder, 'modes-'))
    chmodSync(cwd, 0o755)
    const server = await startProcess({ HUFU_DATABASE_URL: `sqlite:${cwd}/hufu.db` })
    // The other two are created with the first statement.
    await fetch(`${server.url}/readyz`)
    const files = readdirSync(cwd)
    expect(files).toEqual(expect.arrayContaining(['hufu.db', 'hufu.db-wal', 'hufu.db-shm']))
    for (const file of files)
      expect(`${file} ${(statSync(join(cwd, file)).mode & 0o777).toString(8)}`).toBe(`${file} 600`)
    await server.stop()
  })

  test('SIGTERM to npm start ends the server, and not npm alone', async () => {
    const { PATH = '', HOME = '' } = process.env
    const npm = spawn('npm', ['start'], {
      cwd: dirname(dirname(main)),
      env: { PATH, HOME, HUFU_PORT: '0', ...environment },
    })
    const { url, pid } = await new Promise<{ url: string; pid: number }>((resolve) => {
      let output = ''
      npm.stderr.on('data', (chunk) => {
        output += chunk
        const found = /(http:\S+)[\s\S]*npm run demo/.exec(output)?.[1]
        if (found !== undefined) resolve({ url: found, pid: npm.pid ?? 0 })
      })
    })
    process.kill(pid, 'SIGTERM')
    await once(npm, 'exit')
    await vi.waitFor(() => expect(fetch(`${url}/livez`)).rejects.toThrow(), { timeout: 5_000 })
  })

  test('SIGTERM finishes requests in flight, refuses new ones, and ends with 0', async () => {
    await add(person.phone)
    const server = await startProcess({ ...environment, HUFU_PASSWORD_PARALLEL: '1' })
    const inFlight = await Promise.all(Array.from({ length: 8 }, () => askedToGoOn(`${server.url}/login`)))
    const ended = server.stop('SIGTERM')
    const body = JSON.stringify({ phone_number: person.phone, password: person.password })
    for (const answer of await Promise.all(inFlight.map((request) => request.finish(body)))) {
      expect(answer).toMatchObject({ status: 200 })
      expect(JSON.parse(answer.text)).toMatchObject({ code: 1 })
    }
    expect(await ended).toBe(0)
    await expect(fetch(`${server.url}/livez`)).rejects.toThrow()
  })

  test('after SIGTERM, sign-ins that wait too long for their hash are answered 503, and none is cut off', async () => {
    await add(person.phone)
    // Each hash begins a second late, as on a machine whose other programs are busy.
    const late = `import { Worker } from 'node:worker_threads'
      const send = Worker.prototype.postMessage
      Worker.prototype.postMessage = function (job) { setTimeout(() => send.call(this, job), 1_000) }`
    const server = await startProcess({
      ...environment,
      HUFU_PASSWORD_PARALLEL: '1',
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(late)}`,
    })
    const inFlight = await Promise.all(
      Array.from({ length: 30 }, () => askedToGoOn(`${server.url}/v1/sessions`)),
    )
    const ended = server.stop('SIGTERM')
    const body = JSON.stringify({ phone_number: person.phone, password: person.password })
    const statuses = await Promise.all(inFlight.map(async (request) => (await request.finish(body)).status))
    expect(new Set(statuses)).toEqual(new Set([201, 503]))
    expect(await ended).toBe(0)
  })

  test('requests sent before the signal are answered, also on connections not yet accepted', async () => {
    const server = await startProcess(environment)
    // The process is stopped, so it finds both the connections and the signal when it continues. It accepts
    // one connection in each turn of its event loop, which is busy with the requests of those before.
    server.child.kill('SIGSTOP')
    const sent = await Promise.all(
      Array.from({ length: 120 }, (_, i) => sentRequests(server.url, 1 + (i % 8))),
    )
    const ended = server.stop('SIGTERM')
    server.child.kill('SIGCONT')
    const answers = await Promise.all(sent.map((request) => request.answer))
    for (const [i, answer] of answers.entries()) {
      expect(answer.match(/HTTP\/1\.1 422 /g)).toHaveLength(1 + (i % 8))
      // Only the last one announces the close, or those after it would be lost.
      expect(answer.match(/^connection: close\r$/gim)).toHaveLength(1)
      expect(answer).toMatch(/\r\nconnection: close\r\n(?:(?!HTTP)[\s\S])*$/i)
    }
    expect(await ended).toBe(0)
  })

  test('if its standard error is not read any more, codes are refused and the server goes on', async () => {
    const server = await startProcess(environment)
    server.child.stderr?.destroy()
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ phone_number: '+8613900000001', purpose: 'sign_in' })
    for (let i = 0; i < 3; i++) {
      const answer = await fetch(`${server.url}/v1/codes`, { method: 'POST', headers, body })
      expect(await answer.json()).toMatchObject({ status: 503, code: 'code_not_sent' })
    }
    expect((await fetch(`${server.url}/livez`)).status).toBe(200)
    expect(await server.stop()).toBe(0)
  })

  test('an old Node is reported before anything else happens', async () => {
    const script = `Object.defineProperty(process.versions, 'node', { value: '20.20.2' }); await import(${JSON.stringify(new URL('../../src/main.ts', import.meta.url).href)})`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script])
    let stderr = ''
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    await once(child, 'close')
    expect(child.exitCode).toBe(2)
    expect(stderr).toMatch(/^Hufu needs Node\.js 24 or newer; this is 20\.20\.2\./)
  })
})
