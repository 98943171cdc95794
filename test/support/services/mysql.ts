/**
 * A private MySQL server, if MySQL itself is installed: Debian has MariaDB under the same names.
 * `HUFU_TEST_MYSQLD` is the path of the program if it is not in the PATH.
 */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { createConnection } from 'mysql2/promise'
import { findBinary } from './binaries.ts'
import { createFolder, removeFolder } from './folders.ts'
import { freePort } from './ports.ts'
import { run, startServer } from './processes.ts'

/** The program, or the reason why there is none. */
export type FoundMysql = { file: string; skipped: null } | { file: null; skipped: string }

/** Looks for a `mysqld` of MySQL, from version 8 on. */
export function findMysql(place = process.env.HUFU_TEST_MYSQLD ?? findBinary(['mysqld'])): FoundMysql {
  const none = (skipped: string) => ({ file: null, skipped })
  if (place === null)
    return none('there is no mysqld (MySQL 8 or later; HUFU_TEST_MYSQLD names another place)')
  const { stdout, error } = spawnSync(place, ['--no-defaults', '--version'], { encoding: 'utf8' })
  if (error) return none(`${place} does not start: ${error.message}`)
  const version = stdout.trim()
  if (/mariadb/i.test(version)) return none(`${place} is MariaDB's: ${version}`)
  const [, major] = /Ver (\d+)\./.exec(version) ?? []
  return Number(major) >= 8
    ? { file: place, skipped: null }
    : none(`${place} is older than MySQL 8: ${version}`)
}

/** Starts a server with an empty data folder, which is removed when it stops. */
export async function startMysql(file: string): Promise<{ url: string; stop(): Promise<void> }> {
  const folder = createFolder('mysql')
  const user = process.getuid?.() === 0 ? ['--user=root'] : []
  const shared = ['--no-defaults', ...user, `--datadir=${join(folder, 'data')}`]
  await run({ file, args: [...shared, '--initialize-insecure'], folder, owner: null })
  const port = await freePort()
  const url = `mysql://root@127.0.0.1:${port}`
  const args = [
    ...shared,
    '--bind-address=127.0.0.1',
    `--port=${port}`,
    `--socket=${join(folder, 'socket')}`,
    `--pid-file=${join(folder, 'pid')}`,
    '--mysqlx=OFF',
    '--skip-log-bin',
    '--max-connections=300',
    '--innodb-buffer-pool-size=64M',
    '--innodb-flush-log-at-trx-commit=2',
  ]
  const server = await startServer({ file, args, folder, owner: null }, async () => {
    const connection = await createConnection({ uri: url, connectTimeout: 2_000 })
    connection.destroy()
  })
  return {
    url,
    async stop() {
      await server.stop()
      removeFolder(folder)
    },
  }
}
