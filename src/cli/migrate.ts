// hufu migrate: brings the schema up to date without starting the server.

import type { Context } from './context.ts'
import { exitCodes } from './output.ts'
import { upgradeDatabase } from './upgrade-database.ts'

/** `migrate` */
export async function migrateDatabase(context: Context): Promise<number> {
  const { output } = context
  const done = await upgradeDatabase(context)
  output.value({ migrated: done })
  for (const name of done) output.line(output.say(`已执行 ${name}`, `Ran ${name}`))
  if (done.length === 0) output.line(output.say('数据库已是最新。', 'The database is up to date.'))
  return exitCodes.done
}
