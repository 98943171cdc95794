// A warning where a server database is new and the earlier SQLite file still has accounts.
import { resolve } from 'node:path'
import { listAccounts } from '../accounts/account-rows.ts'
import { countAccountsInFile } from '../database/accounts-in-file.ts'
import { sqlitePath } from '../database/open.ts'
import type { Database } from '../database/schema.ts'
import { databaseSettings } from '../settings/database.ts'
import type { Settings } from '../settings/settings.ts'
import type { Output } from './output.ts'

const youngMs = 7 * 24 * 3_600_000
const maxCounted = 10_000

/** null where there is no such file with accounts, or where the database has older accounts. */
export async function leftBehindWarning(
  settings: Settings,
  output: Output,
  open: () => Database,
): Promise<string | null> {
  if (settings.database.location.kind === 'sqlite') return null
  const path = resolve(sqlitePath(databaseSettings.location.default))
  const count = countAccountsInFile(path, maxCounted + 1)
  if (count === 0 || !(await isYoung(open))) return null
  const [zh, en] = count > maxCounted ? [`${maxCounted} 多`, `more than ${maxCounted}`] : [count, count]
  return output.say(
    `${path} 里有 ${zh} 个账号，当前数据库里没有它们：要继续使用，请去掉 HUFU_DATABASE_URL（在环境变量或 .env 里）；不再需要，请移走该文件（docs/operations.zh-CN.md）`,
    `accounts in ${path}: ${en}, and this database does not have them: remove HUFU_DATABASE_URL (from the environment or .env) to go on with them, or move the file away (docs/operations.md)`,
  )
}

/** Whether the database has no account that is older than a week. */
async function isYoung(open: () => Database): Promise<boolean> {
  const db = open()
  try {
    const [oldest] = await listAccounts(db, null, 1)
    return oldest === undefined || Date.now() - oldest.registeredAt < youngMs
  } catch {
    return false
  } finally {
    await db.destroy().catch(() => {})
  }
}
