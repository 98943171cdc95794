// SQL that MySQL 8 refuses or executes differently from MariaDB, searched in the source: the tests run on
// MySQL only where it is installed.
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { mysqlErrors } from '../../src/database/failure-codes.ts'
import { asUnavailable, isRetryable } from '../../src/database/failures.ts'

const src = fileURLToPath(new URL('../../src/', import.meta.url))
const sources = globSync('**/*.ts', { cwd: src })
  .filter((file) => !file.endsWith('.test.ts'))
  .map((file) => ({ file, text: readFileSync(src + file, 'utf8') }))

/** The columns without an alias of each select from `information_schema`. */
function unnamedColumns(text: string): string[] {
  const selects = [...text.matchAll(/select\s+(?:distinct\s+)?([^`']*?)\s+from\s+information_schema\./g)]
  return selects.flatMap(([, columns = '']) =>
    columns
      .split(',')
      .map((column) => column.trim())
      .filter((column) => !/ as \w+$/.test(column)),
  )
}

// https://dev.mysql.com/doc/refman/8.0/en/information-schema.html: there the names are in capitals.
test('every column of information_schema has an alias', () => {
  expect(unnamedColumns('select table_name as name, engine from information_schema.tables')).toEqual([
    'engine',
  ])
  const selects = sources.flatMap(({ text }) => text.match(/from\s+information_schema\./g) ?? [])
  expect(selects.length).toBeGreaterThan(4)
  for (const { file, text } of sources)
    expect({ file, columns: unnamedColumns(text) }).toEqual({ file, columns: [] })
})

/** Syntax of MariaDB that MySQL 8.4 does not have. */
const onlyMariadb = [
  /\bseq_\d/,
  /\b(insert|replace|delete)\b[^;`]*\breturning\b/i,
  /\bcreate\s+or\s+replace\s+table\b/i,
  /\b(add|drop|modify)\s+column\s+if\s+(not\s+)?exists\b/i,
  /\bcreate\s+(sequence|index\s+if\s+not\s+exists)\b/i,
  /\bnopad\b/i,
  /\b(wait|nowait)\s+\d/i,
  /\bminus\b\s+select\b/i,
  /\bset\s+statement\b/i,
]

test('no statement of the source uses syntax of MariaDB alone', () => {
  const statements = sources.flatMap(({ file, text }) =>
    [...text.matchAll(/sql(?:<[^`]*?>)?`([^`]*)`/g)]
      .map(([, sql = '']) => ({ file, sql }))
      // Neither MySQL nor MariaDB has partial indexes, so these are for the other databases.
      .filter(({ sql }) => !/\bcreate index\b[^;]*\bwhere\b/.test(sql)),
  )
  expect(statements.length).toBeGreaterThan(50)
  expect(onlyMariadb.some((words) => words.test('insert into t (a) values (1) returning a'))).toBe(true)
  for (const words of onlyMariadb) expect(statements.filter(({ sql }) => words.test(sql))).toEqual([])
})

const error = (errno: number) => Object.assign(new Error('from the server'), { errno })

test('the errors of a MySQL replication group are retried, or unavailable', () => {
  expect(isRetryable(error(3101))).toBe(true)
  for (const errno of [3101, 3100, 1874])
    expect(asUnavailable(error(errno))).toMatchObject({ code: 'unavailable' })
  const all = Object.values(mysqlErrors).flatMap((codes) => [...codes])
  expect(new Set(all).size).toBe(all.length)
})
