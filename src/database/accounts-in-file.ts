// How many accounts a SQLite file has that nothing uses now, without a trace in it or beside it.
import { statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'

/**
 * Counts to `max` at most. 0 where there is no such file, or it cannot be read, or is not ours. What a server that was killed had
 * only in `-wal` is not counted: `immutable` reads the file itself, takes no lock, and makes no other file.
 */
export function countAccountsInFile(path: string, max: number): number {
  try {
    // A pipe or a device would be waited for.
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
