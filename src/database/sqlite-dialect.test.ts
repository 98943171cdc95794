// The embedded database beside other programs that open its file.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterEach, expect, test } from 'vitest'
import { whyMissing } from '../../test/support/services/binaries.ts'
import { dialectFor, openDatabase } from './open.ts'

const folder = mkdtempSync(join(tmpdir(), 'hufu-sqlite-'))
const file = join(folder, 'hufu.db')

afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** The locks of this process on the file itself; a connection in WAL mode holds one. */
function locksOnFile(): string[] {
  const { ino } = statSync(file)
  const lines = readFileSync('/proc/locks', 'utf8').split('\n')
  return lines.filter((line) => new RegExp(` ${process.pid} \\S+:${ino} `).test(line))
}

// A process loses its locks on a file as soon as it closes any descriptor of it (fcntl(2)). The sqlite3 of
// Debian 12 (3.40) then assumes that it is the last connection and removes the WAL, and later writes of this
// process are lost.
test.skipIf(!existsSync('/proc/locks') || whyMissing(['sqlite3'], 'sqlite3') !== null)(
  'a second connection takes no lock of the first one away, and what another program reads and closes stays whole',
  async () => {
    const open = () => openDatabase(dialectFor(`sqlite:${file}`, 1))
    const countElsewhere = () =>
      Number(execFileSync('sqlite3', [file, 'select count(*) from t'], { encoding: 'utf8' }))
    const first = open()
    await sql`create table t (n integer)`.execute(first)
    expect(locksOnFile()).toHaveLength(1)
    const second = open()
    await sql`insert into t values (1)`.execute(second)
    expect(locksOnFile()).toHaveLength(1)
    expect(countElsewhere()).toBe(1)
    await sql`insert into t values (2)`.execute(first)
    await sql`insert into t values (3)`.execute(second)
    expect(countElsewhere()).toBe(3)
    await first.destroy()
    await second.destroy()
    expect(countElsewhere()).toBe(3)
  },
)
