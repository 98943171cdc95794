// The documents match the program: settings, errors, routes, commands, exit codes, and links.
import { createHmac } from 'node:crypto'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  capacitySummaries,
  chartOf,
  faultSummaries,
  faultSumsOf,
  speedSummaries,
  withPart,
} from '../../bench/chart.ts'
import { signInChecks } from '../../src/authentication/methods/methods.ts'
import { exitCodes } from '../../src/cli/output.ts'
import {
  mysqlErrors,
  postgresClasses,
  postgresErrors,
  sqliteErrors,
} from '../../src/database/failure-codes.ts'
import { errorCodes } from '../../src/errors.ts'
import { eventKinds } from '../../src/events/events.ts'
import { publicErrors } from '../../src/http/problem.ts'
import { Problem } from '../../src/http/problem-answers.ts'
import {
  adjustableAllowances,
  allowanceNames,
  allowanceText,
  networkFactor,
} from '../../src/limits/allowances.ts'
import { limitsWith } from '../../src/limits/limits.ts'
import { limitSettings } from '../../src/settings/limits.ts'
import { settingRows } from '../../src/settings/table.ts'
import { smsErrorCodes } from '../../src/sms/sms.ts'
import { addPerson, person, type RunningApp, runCommand, startApp, startProcess } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { englishOf } from './documents/blocks.ts'
import { headingsOf } from './documents/translation.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/**
 * The text under a heading, up to the next one of its level or above. A heading of the English page selects
 * that of its translation.
 */
function section(path: string, heading: string): string {
  const [, level = '#'] = /^(#+) /.exec(heading) ?? []
  const english = englishOf(path)
  const index = headingsOf(read(english ?? path)).indexOf(heading)
  const [, after] = `\n${read(path)}`.split(`\n${headingsOf(read(path))[index]}\n`)
  if (after === undefined) throw new Error(`${path} has no heading "${heading}"`)
  return after.split(new RegExp(`^#{1,${level.length}} `, 'm'))[0] ?? ''
}

/** The rows of the tables in a text, as trimmed cells, without the heads. */
function rows(text: string): string[][] {
  const cells = text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.slice(1, -1).split('|').map(trim))
  const isDashes = (row: string[] | undefined) => row?.every((cell) => /^:?-+:?$/.test(cell)) ?? false
  return cells.filter((row, i) => !isDashes(row) && !isDashes(cells[i + 1]))
}

const trim = (text: string): string => text.trim()
const inCode = (text: string): string => `\`${text}\``
/** The first cell of each row, which must be code and nothing else. */
const names = (table: string[][]): string[] =>
  table.map(([cell = '']) => /^`([^`]+)`$/.exec(cell)?.[1] ?? cell)
/** The contents of fenced blocks in these languages. */
const blocks = (text: string, languages: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`(?:${languages})\\n(.*?)^\`\`\``, 'gms'))].map(
    ([, block = '']) => block,
  )

const documents = globSync('**/*.md', {
  cwd: root,
  exclude: (path) => /(^|\/)(node_modules|dist|data|\.git)$/.test(path),
})

describe.each([
  ['docs/settings.md', '(empty)', 'number of cores less one, at least 1', ['yes', 'no']],
  ['docs/settings.zh-CN.md', '（空）', '核数减一，至少 1', ['是', '否']],
] as const)('%s', (page, empty, cores, [yes, no]) => {
  test('lists the settings in order, each with its default and whether it may come from a file', () => {
    const defaults: Record<string, string> = { HUFU_PASSWORD_PARALLEL: cores }
    const expected = settingRows.map((setting) => [
      inCode(setting.name),
      defaults[setting.name] ?? (setting.default === '' ? empty : inCode(setting.default)),
      setting.secret ? yes : no,
    ])
    const documented = rows(section(page, '## The table'))
    expect(documented.map(([name, byDefault, , file]) => [name, byDefault, file])).toEqual(expected)
    for (const row of documented) expect(row.filter((cell) => cell !== '')).toHaveLength(5)
  })
})

test.each(documents)('%s names only existing settings', (path) => {
  const known = settingRows.flatMap(({ name }) => [name, `${name}_FILE`])
  expect(known).toEqual(expect.arrayContaining(read(path).match(/HUFU_[A-Z_]+/g) ?? []))
})

test('docs/limits.md shows the table of limits, row by row', () => {
  const period = (seconds: number) =>
    seconds < 3_600
      ? `${seconds / 60} min`
      : seconds < 86_400
        ? `${seconds / 3_600} h`
        : `${seconds / 86_400} d`
  const budget = Number(limitSettings.smsDailyBudget.default)
  const expected = limitsWith({ checks: signInChecks, smsDailyBudget: budget }).map(
    ({ action, by, callers, counts, max, perSeconds, backoff = ['-'] }) => {
      const callersName = callers.replace('_', ' ')
      return [inCode(action), by, callersName, counts, String(max), period(perSeconds), backoff.join(', ')]
    },
  )
  expect(rows(section('docs/limits.md', '## The table'))).toEqual(expected)
})

test.each([
  ['docs/limits.md', 'docs/settings.md', 'at least ', ', at most ', ' each'],
  ['docs/limits.zh-CN.md', 'docs/settings.zh-CN.md', '至少 ', '，每个最多 ', ''],
] as const)('%s and %s show which numbers may be set, and their bounds', (limits, settings, ...words) => {
  const bounds = allowanceNames.map((of) => {
    const { atLeast, atMost } = adjustableAllowances[of]
    const { name, default: byDefault } = limitSettings.allowances[of]
    return [inCode(name), inCode(byDefault), inCode(allowanceText(atLeast)), String(atMost)]
  })
  const { name, default: byDefault } = limitSettings.networkFactor
  const { from, to } = networkFactor
  const factor = [inCode(name), inCode(byDefault), inCode(String(from)), String(to)]
  const shown = rows(section(limits, '## Numbers that you may set'))
  expect(shown.map((row) => row.slice(0, 4))).toEqual([factor, ...bounds])
  const all = rows(section(settings, '## The table'))
  for (const [setting, , atLeast = '', atMost = ''] of bounds) {
    const values = [words[0], atLeast, words[1], atMost, words[2]].join('')
    expect(all.find(([cell]) => cell === setting)?.[2]).toBe(values)
  }
})

test('docs/operations.md names only error codes with which the database counts as away', () => {
  const [, ...table] = rows(section('docs/operations.md', '### What counts as "the database is away"'))
  const codesIn = (column: number, form: RegExp) => table.flatMap((row) => row[column]?.match(form) ?? [])
  const mysql = Object.entries(mysqlErrors).flatMap(([kind, codes]) => (kind === 'unique' ? [] : [...codes]))
  const named = codesIn(1, /\b\d{4}\b/g).map(Number)
  expect(named.length).toBeGreaterThan(30)
  expect(mysql).toEqual(expect.arrayContaining(named))
  const { unique: _, ...postgres } = postgresErrors
  const states = codesIn(2, /\b[0-9A-Z]{5}\b/g).filter((code) => !postgresClasses.test(code))
  expect(states.length).toBeGreaterThan(5)
  expect(Object.values(postgres).flatMap((codes) => [...codes] as string[])).toEqual(
    expect.arrayContaining(states),
  )
  const { lostRace, readOnly, outOfReach } = sqliteErrors
  const results = codesIn(3, /\b\d+\b/g).map(Number)
  expect(results.length).toBeGreaterThan(5)
  expect([...lostRace, ...readOnly, ...outOfReach]).toEqual(expect.arrayContaining(results))
})

describe.each(['docs/errors.md', 'docs/errors.zh-CN.md'])('%s', (page) => {
  test('lists the codes in order, each with its status and both titles', () => {
    const expected = errorCodes.map((code) => {
      const { status, zh, en } = publicErrors[code]
      return [inCode(code), String(status), zh, en]
    })
    expect(rows(section(page, '## Codes and titles'))).toEqual(expected)
  })

  test('explains each code, and no other', () => {
    const table = rows(section(page, '## When they come, and what an app does'))
    expect(names(table)).toEqual([...errorCodes])
    for (const [, when] of table) expect(when).not.toBe('')
  })

  test('lists the members of a problem, and the words for what is wrong with a field', () => {
    const table = names(rows(section(page, '## Members')))
    const members = table.filter((name) => !/^(is|has)_/.test(name))
    expect(members.toSorted()).toEqual(Object.keys(Problem.properties).toSorted())
    const sources = [
      'http/request-errors',
      'authentication/credentials',
      'phone/phone',
      'authentication/code-destinations',
      'authentication/repeats',
    ]
      .map((name) => read(`src/${name}.ts`))
      .join('')
    const words = new Set(sources.match(/(?<=')(?:is|has)_[a-z_]+(?=')/g))
    expect(table.filter((name) => /^(is|has)_/.test(name)).toSorted()).toEqual([...words].toSorted())
  })

  test('lists the rules that a refused password breaks', () => {
    const [, union = ''] = /readonly rule\?: (.*)/.exec(read('src/errors.ts')) ?? []
    const rules = [...union.matchAll(/'(\w+)'/g)].map(([, rule]) => rule)
    expect(names(rows(section(page, '## Why a password is refused')))).toEqual(rules)
  })
})

test.each(documents)('%s names no code of a session that does not exist', (path) => {
  const named = [...read(path).matchAll(/[`"](session_[a-z_]+)[`"]/g)].map(([, code]) => code)
  const others: readonly string[] = [...eventKinds, 'session_id']
  expect(errorCodes).toEqual(expect.arrayContaining(named.filter((name) => !others.includes(name ?? ''))))
})

test('docs/events.md lists the kinds of events', () => {
  expect(names(rows(read('docs/events.md')))).toEqual([...eventKinds])
})

describe('docs/security.md', () => {
  const table = rows(section('docs/security.md', '## The table'))

  test('says where each requirement is met and which test shows it, or what is missing', () => {
    expect(table.length).toBeGreaterThan(50)
    for (const row of table) {
      const [requirement = '', where = '', shown = ''] = row
      expect(
        row.filter((cell) => cell !== ''),
        requirement,
      ).toHaveLength(3)
      expect(requirement).toMatch(/^(\d+\.\d+\.\d+(, | to )?)+ \([12](, [12])?\) \S/)
      if (where === 'not yet') continue
      expect(where, requirement).toMatch(/^`(src|sdk)\/[^`]+`(, `(src|sdk)\/[^`]+`)*$/)
      expect(shown, requirement).toMatch(/^`[^`]+\.test\.ts` "/)
    }
  })

  test('names only existing files, and tests that are in them', () => {
    const text = read('docs/security.md')
    const files = [...text.matchAll(/`((?:src|sdk|test)\/[^`]+)`/g)].map(([, path = '']) => path)
    expect(files.filter((path) => !existsSync(join(root, path)))).toEqual([])
    const shown = [...text.matchAll(/`([^`]+\.test\.ts)`(?: "([^"]+)")?/g)]
    expect(shown.length).toBeGreaterThan(50)
    for (const [cell, path = '', name] of shown) {
      expect(name, cell).toBeDefined()
      expect(read(path), cell).toContain(name)
    }
  })
})

describe('docs/sms.md', () => {
  test('explains each code of a text message, and no other, with advice', () => {
    const table = rows(section('docs/sms.md', '## When it goes wrong'))
    expect(names(table)).toEqual([...smsErrorCodes])
    for (const row of table) expect(row.filter((cell) => cell !== '')).toHaveLength(4)
  })

  test('shows a body with the signature that its own command computes', () => {
    const text = section('docs/sms.md', '### The signature')
    const [body = ''] = blocks(text, 'json').map((block) => block.trimEnd())
    const [, timestamp = ''] = /x-hufu-timestamp: (\d+)/.exec(text) ?? []
    const [, signature] = /x-hufu-signature: ([0-9a-f]{64})/.exec(text) ?? []
    expect(createHmac('sha256', 'change-me').update(`${timestamp}.${body}`).digest('hex')).toBe(signature)
  })
})

describe('docs/api.md', () => {
  let app: RunningApp
  let drop: () => Promise<void>
  beforeAll(async () => {
    const [sqlite = expect.fail()] = databases
    const fresh = await sqlite.create()
    drop = fresh.drop
    app = await startApp(fresh.url)
    await addPerson(app.services)
  })
  afterAll(async () => {
    await app?.close()
    await drop?.()
  })

  const headings = [...read('docs/api.md').matchAll(/^### `([A-Z]+ \S+)`$/gm)].map(([, route = '']) => route)
  /** They serve the descriptions, and are not part of their own document. */
  const descriptions = ['GET /openapi.json', 'GET /docs']

  test('has a heading for each route, and for no other', async () => {
    const answer = await fetch(`${app.url}/openapi.json`)
    const document = (await answer.json()) as { paths: Record<string, object> }
    const described = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(headings.toSorted()).toEqual([...described, ...descriptions].toSorted())
    for (const route of descriptions) expect((await fetch(app.url + route.slice(4))).status).toBe(200)
  })

  test('shows examples with the members of real responses', async () => {
    const json = { 'content-type': 'application/json' }
    const login = { phone_number: person.phone, password: person.password }
    const ask = async (path: string, init: RequestInit = {}): Promise<Record<string, unknown>> =>
      (await fetch(app.url + path, init)).json() as Promise<Record<string, unknown>>
    const post = (path: string, body: object) =>
      ask(path, { method: 'POST', headers: json, body: JSON.stringify(body) })

    const issued = await post('/v1/sessions', { ...login, device: { platform: 'ios', name: 'iPhone 15' } })
    const bearer = { authorization: `Bearer ${issued.token}` }
    const codes = await post('/v1/codes', { phone_number: '13800005223', purpose: 'sign_in' })
    const change = { method: 'PATCH', headers: { ...bearer, ...json }, body: '{"nickname":"小明"}' }
    const signedIn = await post('/login', login)
    const token = { token: String(signedIn.token) }
    const answers: Record<string, unknown> = {
      'POST /v1/sessions': issued,
      'POST /v1/codes': codes,
      'GET /v1/account': await ask('/v1/account', { headers: bearer }),
      'PATCH /v1/account': await ask('/v1/account', change),
      'GET /v1/account/export': { ...(await ask('/v1/account/export', { headers: bearer })), events: [] },
      'GET /v1/session': await ask('/v1/session', { headers: bearer }),
      'GET /v1/sessions': await ask('/v1/sessions', { headers: bearer }),
      'POST /v1/session/rotate': await ask('/v1/session/rotate', { method: 'POST', headers: bearer }),
      'POST /login': signedIn,
      'GET /user': await ask('/user', { headers: token }),
      'GET /logout': await ask('/logout', { headers: token }),
      'GET /readyz': await ask('/readyz'),
    }
    for (const [route, answer] of Object.entries(answers)) {
      const [example = '""'] = blocks(section('docs/api.md', `### \`${route}\``), 'json')
      expect({ route, shape: shapeOf(JSON.parse(example)) }).toEqual({ route, shape: shapeOf(answer) })
    }
  })
})

/** Names of members at every depth: of the first item for a list, none for other values. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return [shapeOf(value[0])]
  if (typeof value !== 'object' || value === null) return null
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shapeOf(inner)]))
}

describe('docs/command-line.md', () => {
  async function help(...command: string[]): Promise<string> {
    return (await runCommand([...command, '--help'], {})).stdout
  }
  const commandsIn = (text: string) =>
    [...text.matchAll(/^ {2}([a-z]+) (?!\[command\])/gm)].map(([, name = '']) => name)

  test('has a heading for each command with its arguments, and a row for each option', async () => {
    const groups = ['accounts', 'sessions', 'keys', 'sms']
    const inGroups = await Promise.all(
      groups.map(async (group) => commandsIn(await help(group)).map((name) => [group, name])),
    )
    const alone = commandsIn(await help()).filter((name) => !groups.includes(name))
    const commands = [...alone.map((name) => [name]), ...inGroups.flat()]
    const real = await Promise.all(
      commands.map(async (command) => {
        const text = await help(...command)
        const usage = /^Usage: hufu (.*)$/m.exec(text)?.[1]?.replace(/ \[options\]/, '') ?? ''
        const options = [...text.matchAll(/^ {2}(--[\w-]+(?: <\w+>)?)/gm)].map(([, option]) => option)
        return { usage, options }
      }),
    )
    const text = read('docs/command-line.md')
    const documented = [...text.matchAll(/^### `(.+)`$/gm)].map(([heading, usage = '']) => ({
      usage,
      options: names(rows(section('docs/command-line.md', heading))),
    }))
    const inOrder = (a: { usage: string }, b: { usage: string }) => (a.usage < b.usage ? -1 : 1)
    expect(documented.toSorted(inOrder)).toEqual(real.toSorted(inOrder))
  })

  test('lists the exit codes', () => {
    const table = rows(section('docs/command-line.md', '## Exit codes'))
    expect(table.map(([name, code]) => [name, code])).toEqual(
      Object.entries(exitCodes).map(([name, code]) => [inCode(name), String(code)]),
    )
  })
})

describe('the documents', () => {
  const readmes = ['README.md', 'README.zh-CN.md'] as const
  const tutorials = ['docs/tutorial.md', 'docs/tutorial.zh-CN.md'] as const

  test.each(documents)('%s has only valid links', (path) => {
    const prose = read(path).replace(/^```.*?^```/gms, '')
    const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link.replace(/#.*$/, ''))
    const files = links.filter((link) => link !== '' && !/^[a-z]+:/.test(link))
    const missing = files.filter((link) => !existsSync(join(root, dirname(path), link)))
    const named = [...prose.matchAll(/`((?:src|test|sdk|bench|docs)\/[\w./-]*)`/g)].map(
      ([, name = '']) => name,
    )
    expect([...missing, ...named.filter((name) => !existsSync(join(root, name)))]).toEqual([])
  })

  test.each(documents)('%s runs only existing scripts', (path) => {
    const scriptsOf = (folder: string) => Object.keys(JSON.parse(read(join(folder, 'package.json'))).scripts)
    for (const [, folder = '.', script] of read(path).matchAll(/npm run (?:-s )?(?:-w (\S+) )?([\w-]+)/g))
      expect(scriptsOf(folder)).toContain(script)
  })

  // An interactive zsh, the shell of macOS, treats the words after a number sign as arguments.
  test.each(documents)('%s has commands without comments', (path) => {
    for (const block of blocks(read(path), 'sh')) expect(block).not.toMatch(/(^|\s)#(?!!)/m)
  })

  test.each([readmes, tutorials])('%s and %s have the same commands', (...pages) => {
    const [english, chinese] = pages.map((path) =>
      blocks(read(path), 'sh|sql').map((block) => block.replaceAll(/(^| +)#.*$/gm, '')),
    )
    expect(english?.join('')).toContain('npm start')
    expect(chinese).toEqual(english)
  })

  test('README.md and README.zh-CN.md have the same code, apart from comments and texts for users', () => {
    const [english, chinese] = readmes.map((path) =>
      blocks(read(path), 'ts|js').map((block) =>
        block.replaceAll(/ \/\/ .*$|'(?!@hufu).*?'|`(?!Bearer).*?`/gm, ''),
      ),
    )
    expect(english).toHaveLength(2)
    expect(chinese).toEqual(english)
  })

  test.each([
    ...readmes,
    'docs/command-line.md',
    'docs/architecture.md',
    ...tutorials,
  ])('%s names only migrations that exist', (path) => {
    const all = globSync('[0-9]*.ts', { cwd: join(root, 'src/database/migrations') }).map((file) =>
      file.slice(0, -3),
    )
    expect(all).toEqual(expect.arrayContaining(read(path).match(/\b00\d\d-[a-z]+-[a-z-]+\b/g) ?? []))
  })

  test.each(
    tutorials,
  )('%s shows the start message and what doctor says of settings as they are', async (path) => {
    const chinese = path.endsWith('.zh-CN.md')
    const fresh = await (databases[0] ?? expect.fail()).createEmpty()
    const server = await startProcess({
      HUFU_DATABASE_URL: fresh.url,
      HUFU_LIMITS: 'on',
      LANG: chinese ? 'zh_CN.UTF-8' : 'C.UTF-8',
    })
    // The server names its port if it is not the default.
    const elsewhere = `npm run demo -- --url ${server.url}\n`
    await vi.waitFor(() => expect(server.output()).toContain(elsewhere))
    await server.stop()
    await fresh.drop()
    const output = server.output().replace(elsewhere, 'npm run demo\n')
    const shown = output.replaceAll(server.url, 'http://127.0.0.1:5001')
    const [message = ''] = blocks(read(path), 'text')
    const lines = (text: string) => text.split('\n').filter((line) => !/^\{|^ {2}(data|数据) /.test(line))
    expect(lines(message)).toEqual(lines(shown))
    const { stdout } = await runCommand(['doctor'], chinese ? { LANG: 'zh_CN.UTF-8' } : {})
    expect(read(path)).toContain(`\n${stdout.split('\n')[0]}\n`)
  })
})

// `npm run bench chart` makes them.
test('the chart, the table of faults and the sentences about both match the last results', () => {
  expect(read('docs/checks.svg')).toBe(chartOf(read('bench/results.json')))
  const faults = read('bench/FAULTS.md')
  const sums = faultSumsOf(faults)
  expect(sums.length).toBeGreaterThan(3)
  const [all = ''] = /\d+ faults/.exec(read('README.md')) ?? []
  expect(all).toBe(`${sums.reduce((sum, { faults: count }) => sum + count, 0)} faults`)
  for (const [path, summary] of Object.entries(faultSummaries(faults)))
    expect(read(path), path).toBe(withPart(read(path), 'faults', summary))
  for (const [path, summary] of Object.entries(speedSummaries(read('bench/results.json'))))
    expect(read(path), path).toBe(withPart(read(path), 'speed', summary))
  for (const [path, summary] of Object.entries(capacitySummaries(read('bench/capacity.json'))))
    expect(read(path), path).toBe(withPart(read(path), 'capacity', summary))
})
