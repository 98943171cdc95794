// A server, a database or a role may preset almost every variable of a session: none of them affects Hufu,
// and those that Hufu cannot override are reported at the start.
import { createConnection, type RowDataPacket } from 'mysql2/promise'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { addPerson, person, runCommand, startApp } from '../support/app.ts'
import { createMariadbDatabase, type Mariadb, startMariadb } from '../support/services/mariadb.ts'
import { createPostgresDatabase, type Postgres, startPostgres } from '../support/services/postgres.ts'

/** A variable of MariaDB: its words, or its range. */
interface Row extends RowDataPacket {
  readonly name: string
  readonly type: string
  readonly words: string | null
  readonly least: string
  readonly most: string
}

const deviceName = '小明的 iPhone 📱'
let people = 13_600_000_000

/** A typical use: an account, a sign-in, a second one that replaces the first, a check, a sign-out. */
async function live(databaseUrl: string): Promise<void> {
  const app = await startApp(databaseUrl)
  try {
    const number = String(++people)
    await addPerson(app.services, number, '小明 📱')
    const tokens = [await signIn(app.url, number), await signIn(app.url, number)]
    const statuses = await Promise.all(tokens.map(async (token) => (await ask(app.url, token)).status))
    expect(statuses).toEqual([401, 200])
    const seen = (await (await ask(app.url, tokens[1] ?? '')).json()) as {
      session: { device: { name: string } }
    }
    expect(seen.session.device.name).toBe(deviceName)
    expect((await ask(app.url, tokens[1] ?? '', 'DELETE')).status).toBe(204)
    // Seen by another process: everything acknowledged is committed.
    const ended = await app.byHand
      .selectFrom('hufu_sessions')
      .select(['device_name', 'end_reason'])
      .where('account_id', '=', (await app.services.accounts.get(number)).id)
      .orderBy('end_reason')
      .execute()
    expect(ended).toEqual([
      { device_name: deviceName, end_reason: 'replaced' },
      { device_name: deviceName, end_reason: 'signed_out' },
    ])
  } finally {
    await app.close()
  }
}

async function signIn(url: string, phoneNumber: string): Promise<string> {
  const body = {
    phone_number: phoneNumber,
    password: person.password,
    device: { platform: 'ios', id: 'A1', name: deviceName },
  }
  const response = await fetch(`${url}/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  expect(response.status, text).toBe(201)
  return JSON.parse(text).token
}

const ask = (url: string, token: string, method = 'GET') =>
  fetch(`${url}/v1/session`, { method, headers: { authorization: `Bearer ${token}` } })

/**
 * Of all presets that a server takes, six at random. HUFU_TEST_PRESETS=all tries each, in some minutes, and
 * HUFU_TEST_PRESETS=max_ those whose text contains `max_`.
 */
function chosen(presets: readonly string[]): readonly string[] {
  const wanted = process.env.HUFU_TEST_PRESETS
  if (wanted !== undefined) return presets.filter((preset) => wanted === 'all' || preset.includes(wanted))
  const ordered = presets.map((preset) => ({ preset, order: Math.random() }))
  return ordered
    .toSorted((a, b) => a.order - b.order)
    .slice(0, 6)
    .map(({ preset }) => preset)
}

/** Tries each preset that the server accepts. @returns the presets with which Hufu failed, and why */
async function failuresWith(
  presets: readonly string[],
  preset: { set(preset: string): Promise<unknown>; reset(name: string): Promise<unknown> },
  url: string,
): Promise<readonly string[]> {
  const failures: string[] = []
  const refused: string[] = []
  for (const one of presets) {
    const [name = ''] = one.split(' = ')
    const isSet = await preset.set(one).then(
      () => true,
      () => false,
    )
    if (!isSet) {
      refused.push(one)
      continue
    }
    await live(url).catch((error) => failures.push(`${one}: ${error}`))
    await preset.reset(name)
  }
  console.log(
    `tried ${presets.length - refused.length}; the server refuses ${refused.length}: ${refused.join(', ')}`,
  )
  return failures
}

/** The end of a range: none where a large value would only take memory. */
const greatest = (name: string, value: string) => (/size|buffer|space|alloc|mem/i.test(name) ? [] : [value])

const mariadbPresets = [
  'autocommit = 0',
  "completion_type = 'CHAIN'",
  "completion_type = 'RELEASE'",
  "init_connect = 'SET NAMES utf8mb3'",
  "init_connect = 'SET NAMES gbk'",
  "init_connect = 'SET autocommit = 0, sql_safe_updates = 1'",
  "tx_isolation = 'SERIALIZABLE'",
  "tx_isolation = 'READ-UNCOMMITTED'",
  'tx_read_only = 1',
  "sql_mode = ''",
  "sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,NO_ZERO_DATE'",
  "time_zone = '+08:00'",
  'sql_safe_updates = 1',
  'sql_select_limit = 1',
  'sql_auto_is_null = 1',
  'max_join_size = 1',
  'max_statement_time = 0.001',
  'innodb_lock_wait_timeout = 1',
  'wait_timeout = 1',
  'idle_transaction_timeout = 1',
  'foreign_key_checks = 0',
  'unique_checks = 0',
  'auto_increment_increment = 7',
  'group_concat_max_len = 4',
  'div_precision_increment = 0',
  "collation_connection = 'utf8mb3_general_ci'",
  "collation_server = 'latin1_swedish_ci'",
  "default_storage_engine = 'MyISAM'",
  'innodb_strict_mode = 0',
  'low_priority_updates = 1',
]

describe.skipIf(inject('mariadb').skipped !== null)('mariadb presets', () => {
  let server: Mariadb
  let databaseUrl: string
  let plainUrl: string

  beforeAll(async () => {
    server = await startMariadb()
    databaseUrl = await createMariadbDatabase(server.url)
    const { host, pathname } = new URL(databaseUrl)
    // init_connect does not apply to administrators.
    await asRoot("create user plain@'%'")
    await asRoot(`grant all on ${pathname.slice(1)}.* to plain@'%'`)
    plainUrl = `mysql://plain@${host}${pathname}`
    await live(plainUrl)
  }, 60_000)

  afterAll(() => server?.stop())

  async function asRoot(statement: string): Promise<void> {
    const connection = await createConnection(server.url)
    await connection.query(statement).finally(() => connection.end())
  }

  test.each(mariadbPresets)('%s', async (preset) => {
    const [name = ''] = preset.split(' = ')
    await asRoot(`set global ${preset}`)
    try {
      await live(plainUrl)
    } finally {
      await asRoot(`set global ${name} = default`)
    }
  })

  test('any value of any variable of a session', { timeout: 900_000 }, async () => {
    const connection = await createConnection(server.url)
    const [rows] = await connection.query<Row[]>(`select lower(variable_name) as name, variable_type as type,
      enum_value_list as words, numeric_min_value as least, numeric_max_value as most
      from information_schema.system_variables where variable_scope = 'SESSION' and read_only = 'NO'`)
    await connection.end()
    const all = rows.flatMap(({ name, type, words, least, most }) => {
      const values =
        words === null
          ? [least, ...greatest(name, most)]
          : words
              .split(',')
              .flatMap((word: string) =>
                type === 'FLAGSET' ? [`'${word}=off'`, `'${word}=on'`] : [`'${word}'`],
              )
      // With less memory than a session needs, MariaDB executes nothing: the next test.
      if (name === 'max_session_mem_used') return []
      return values.filter((value) => value !== null).map((value) => `${name} = ${value}`)
    })
    expect(all.length).toBeGreaterThan(300)
    const set = (preset: string) => asRoot(`set global ${preset}`)
    const reset = (name: string) => asRoot(`set global ${name} = default`)
    expect(await failuresWith(chosen(all), { set, reset }, plainUrl)).toEqual([])
  })

  test('too little memory for a session is named, and keeps a server from starting', async () => {
    await asRoot(`set global max_session_mem_used = ${1024 * 1024}`)
    try {
      const environment = { HUFU_DATABASE_URL: plainUrl, HUFU_PORT: '0', LANG: 'C' }
      const serve = await runCommand(['serve'], environment)
      expect(serve.stderr).toMatch(/too little memory: leave max_session_mem_used at its default/)
      expect(serve.code).toBe(2)
      const doctor = await runCommand(['doctor'], { ...environment, LANG: 'zh_CN.UTF-8' })
      expect(doctor.stdout).toMatch(/✗ database .*max_session_mem_used 保持默认值/)
    } finally {
      await asRoot('set global max_session_mem_used = default')
    }
  })

  test('a new table has the storage engine that Hufu needs', async () => {
    await asRoot("set global default_storage_engine = 'MyISAM'")
    const url = await createMariadbDatabase(server.url)
    await live(url)
    await asRoot("set global default_storage_engine = 'InnoDB'")
    const connection = await createConnection(url)
    const [rows] = await connection.query(
      'select distinct engine from information_schema.tables where table_schema = database()',
    )
    await connection.end()
    expect(rows).toEqual([{ engine: 'InnoDB' }])
  })

  test('doctor reports a table without transactions, and a server does not start', async () => {
    const url = await createMariadbDatabase(server.url)
    await live(url)
    const connection = await createConnection(url)
    await connection.query('alter table hufu_events engine = MyISAM')
    await connection.end()
    const environment = { HUFU_DATABASE_URL: url, HUFU_PORT: '0', LANG: 'C' }
    const doctor = await runCommand(['doctor'], environment)
    expect(doctor).toMatchObject({ code: 1 })
    expect(doctor.stdout).toContain('✗ database   the table hufu_events has the engine MyISAM')
    const serve = await runCommand(['serve'], { ...environment, LANG: 'zh_CN.UTF-8' })
    expect(serve).toMatchObject({ code: 2 })
    expect(serve.stderr).toMatch(/表 hufu_events 的存储引擎是 MyISAM/)
  })

  test('binlog_format=STATEMENT is reported, and a server does not start', async () => {
    const own = await startMariadb({ args: ['--log-bin', '--binlog-format=STATEMENT', '--server-id=1'] })
    try {
      const url = await createMariadbDatabase(own.url)
      const serve = await runCommand(['serve'], { HUFU_DATABASE_URL: url, HUFU_PORT: '0', LANG: 'C' })
      expect(serve).toMatchObject({ code: 2 })
      expect(serve.stderr).toMatch(/binlog_format=STATEMENT .* set it to ROW or MIXED/)
    } finally {
      await own.stop()
    }
  })
})

const postgresPresets = [
  ["client_encoding = 'LATIN1'"],
  ["default_transaction_isolation = 'serializable'"],
  ['default_transaction_read_only = on'],
  ['default_transaction_deferrable = on'],
  ["DateStyle = 'SQL, DMY'"],
  ["IntervalStyle = 'sql_standard'"],
  ["TimeZone = 'Asia/Shanghai'"],
  ["bytea_output = 'escape'"],
  ['standard_conforming_strings = off'],
  ['transform_null_equals = on'],
  ['statement_timeout = 1'],
  ['lock_timeout = 1'],
  ['idle_in_transaction_session_timeout = 1'],
  ['idle_session_timeout = 1000'],
  ['row_security = off'],
  ['exit_on_error = on'],
  ['extra_float_digits = 0'],
  ['array_nulls = off'],
  ["synchronous_commit = 'off'"],
  ["search_path = 'nowhere, public'"],
  ["work_mem = '64kB'"],
  ['enable_indexscan = off'],
  ["plan_cache_mode = 'force_generic_plan'"],
] as const

describe.skipIf(inject('postgres').skipped !== null)('postgres presets', () => {
  let server: Postgres
  let url: string

  beforeAll(async () => {
    server = await startPostgres({ isDurable: true })
    url = await createPostgresDatabase(server.url)
    await live(url)
  }, 60_000)

  afterAll(() => server?.stop())

  /** Without the presets of the database, which may end a session at once. */
  async function asOwner(statement: string): Promise<void> {
    const client = new Client({ connectionString: `${server.url}/postgres` })
    await client.connect()
    await client.query(statement).finally(() => client.end())
  }

  const database = () => new URL(url).pathname.slice(1)

  test.each(postgresPresets)('%s', async (preset) => {
    const [name = '', value = ''] = preset.split(' = ')
    await asOwner(
      `alter database ${database()} set ${name} = ${name === 'search_path' ? 'nowhere, public' : value}`,
    )
    try {
      await live(url)
    } finally {
      await asOwner(`alter database ${database()} reset ${name}`)
    }
  })

  test('any value of any variable of a session', { timeout: 900_000 }, async () => {
    const client = new Client({ connectionString: `${server.url}/postgres` })
    await client.connect()
    const { rows } = await client.query(`select name, vartype as type, enumvals as words, min_val as least,
      max_val as most from pg_settings where context in ('user', 'superuser')`)
    await client.end()
    const all = rows.flatMap(({ name, type, words, least, most }) => {
      const values =
        type === 'bool' ? ['on', 'off'] : (words ?? (least === null ? [] : [least, ...greatest(name, most)]))
      return values.map((value: string) => `${name} = '${value}'`)
    })
    expect(all.length).toBeGreaterThan(200)
    const set = (preset: string) => asOwner(`alter database ${database()} set ${preset}`)
    const reset = (name: string) => asOwner(`alter database ${database()} reset ${name}`)
    expect(await failuresWith(chosen(all), { set, reset }, url)).toEqual([])
  })

  test('a preset of synchronous_commit below the disk is overridden; a stronger one stays', async () => {
    const { dialectFor, openDatabase } = await import('../../src/database/open.ts')
    const { sql } = await import('kysely')
    for (const [preset, expected] of [
      ['off', 'on'],
      ['local', 'on'],
      ['remote_apply', 'remote_apply'],
    ]) {
      await asOwner(`alter database ${database()} set synchronous_commit = '${preset}'`)
      const db = openDatabase(dialectFor(url, 1))
      const { rows } = await sql`show synchronous_commit`.execute(db)
      await db.destroy()
      expect(rows).toEqual([{ synchronous_commit: expected }])
    }
    await asOwner(`alter database ${database()} reset synchronous_commit`)
  })

  test.each([
    [
      'an encoding that cannot hold every text',
      "encoding 'LATIN1' template template0 lc_collate 'C' lc_ctype 'C'",
      /encoding is LATIN1/,
    ],
    ['no schema to write to', '', /no schema of the search_path exists/],
    ['foreign keys that are off', '', /session_replication_role=replica turns foreign keys off/],
  ])('%s is named, and keeps a server from starting', async (what, options, sentence) => {
    const name = `lacking_${what.length}`
    await asOwner(`create database ${name} ${options}`)
    if (sentence.source.includes('search_path'))
      await asOwner(`alter database ${name} set search_path = 'nowhere'`)
    if (sentence.source.includes('replica'))
      await asOwner(`alter database ${name} set session_replication_role = replica`)
    const environment = { HUFU_DATABASE_URL: `${server.url}/${name}`, HUFU_PORT: '0', LANG: 'C' }
    const serve = await runCommand(['serve'], environment)
    expect(serve.stderr).toMatch(sentence)
    expect(serve.code).toBe(2)
  })
})
