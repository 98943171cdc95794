// Hundreds of thousands of rows, made by the database itself.
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { DatabaseKind } from '../../src/database/open.ts'

/** SQL of a value, computed from the row's number, which starts at 1. */
export type Cell = (number: RawBuilder<number>, text: Texts) => RawBuilder<unknown>

interface Texts {
  /** The number, padded with zeros to this length. */
  padded(number: RawBuilder<number>, width: number): RawBuilder<string>
  concat(...parts: readonly RawBuilder<unknown>[]): RawBuilder<string>
}

/** A statement has 5 s. */
const rowsInStatement = 20_000

/** Inserts this many rows; a column without a cell is null. */
export async function insertMany<T>(
  db: Kysely<T>,
  kind: DatabaseKind,
  table: string,
  count: number,
  cells: Readonly<Record<string, Cell>>,
): Promise<void> {
  const columns = sql.join(Object.keys(cells).map((name) => sql.ref(name)))
  for (let from = 1; from <= count; from += rowsInStatement) {
    const to = Math.min(count, from + rowsInStatement - 1)
    const { before, numbers } = rangeOf(kind, from, to)
    const values = sql.join(Object.values(cells).map((cell) => cell(sql`n.i`, textsOf(kind))))
    // SQLite accepts `with` only in front of the whole statement, the others in front of its select too.
    await sql`${before} insert into ${sql.table(table)} (${columns}) select ${values} from ${numbers}`.execute(
      db,
    )
  }
}

function rangeOf(kind: DatabaseKind, from: number, to: number) {
  const [first, last] = [sql.lit(from), sql.lit(to)]
  switch (kind) {
    case 'sqlite':
      return {
        before: sql`with recursive n(i) as (select ${first} union all select i + 1 from n where i < ${last})`,
        numbers: sql`n`,
      }
    case 'mysql':
      return { before: sql``, numbers: sql`(${numbersByDigits(from, to)}) n` }
    case 'postgres':
      return { before: sql``, numbers: sql`generate_series(${first}, ${last}) as n(i)` }
  }
}

/** MySQL lacks MariaDB's sequences, and both end a recursion after 1,000 steps. */
function numbersByDigits(from: number, to: number): RawBuilder<unknown> {
  const digits = sql.raw(Array.from({ length: 10 }, (_, d) => `select ${d} as d`).join(' union all '))
  const places = ['a', 'b', 'c', 'd', 'e'].slice(0, String(to - from).length)
  const value = sql.raw([`${from}`, ...places.map((place, at) => `${place}.d * ${10 ** at}`)].join(' + '))
  const tables = sql.join(places.map((place) => sql`(${digits}) ${sql.raw(place)}`))
  return sql`select i from (select ${value} as i from ${tables}) numbers where i <= ${sql.lit(to)}`
}

function textsOf(kind: DatabaseKind): Texts {
  return {
    padded(number, width) {
      const [size, format] = [sql.lit(width), sql.lit(`%0${width}d`)]
      if (kind === 'sqlite') return sql`printf(${format}, ${number})`
      return kind === 'mysql'
        ? sql`lpad(${number}, ${size}, '0')`
        : sql`lpad((${number})::text, ${size}, '0')`
    },
    concat: (...parts) => sql`concat(${sql.join(parts)})`,
  }
}
