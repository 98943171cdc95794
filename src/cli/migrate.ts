// hufu migrate: bring the schema up to date without starting the server.
import { openHouse } from '../app.ts'
import { migrate } from '../db/migrate.ts'
import { exitCodes } from './output.ts'
import type { Context } from './run.ts'

/** `migrate` */
export async function migrateDatabase({ settings, output }: Context): Promise<number> {
  const house = await openHouse({ ...settings, redis: null })
  try {
    const done = await migrate(house.db, settings.database.kind)
    output.value({ migrated: done })
    for (const name of done) output.line(output.say(`已执行 ${name}`, `Ran ${name}`))
    if (done.length === 0) output.line(output.say('数据库已是最新。', 'The database is up to date.'))
    return exitCodes.done
  } finally {
    await house.close()
  }
}
