// Counts the accounts in an unused SQLite file without changing the file or creating another one.
import { statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'

/**
 * Counts to `max` at most. 0 where the file does not exist, cannot be read, or is not Hufu's. Rows that are
 * only in the `-wal` file of a killed server are not counted: `immutable` reads the file alone, takes no
 * lock, and creates no file.
 */
export function countAccountsInFile(path: string, max: number): number {
  try {
    // Opening a pipe or a device would block.
    if (!statSync(path).isFile()) return 0
    const url = pathToFileURL(path)
    url.search = '?mode=ro&immutable=1'
    const db = new DatabaseSync(url, { readOnly: true })
    try {
      const row = db.prepare('select count(*) as n from (select 1 from hufu_accounts limit ?)').get(max)
      return Number(row?.n ?? 0)
    } finally {
      db.close()
    }
  } catch {
    return 0
  }
}
