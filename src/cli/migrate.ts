// hufu migrate: bring the schema up to date without starting the server.
import { openDatabaseAlone } from '../app.ts'
import { upgrade } from '../db/migrate.ts'
import { exitCodes } from './output.ts'
import type { Context } from './run.ts'

/** `migrate` */
export async function migrateDatabase({ settings, output }: Context): Promise<number> {
  const done = await upgrade(() => openDatabaseAlone(settings), settings.database.location.kind)
  output.value({ migrated: done })
  for (const name of done) output.line(output.say(`已执行 ${name}`, `Ran ${name}`))
  if (done.length === 0) output.line(output.say('数据库已是最新。', 'The database is up to date.'))
  return exitCodes.done
}
