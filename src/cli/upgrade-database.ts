// Brings the schema up to date, and reports slow migrations on standard error.
import { openForMigrations } from '../app/databases.ts'
import { upgrade } from '../database/migrate.ts'
import type { Sentence } from '../database/migration-progress.ts'
import type { Context } from './context.ts'

/** Returns the names of the migrations that ran. @throws what `upgrade` throws */
export async function upgradeDatabase({ settings, output }: Context): Promise<string[]> {
  const tell = ({ zh, en }: Sentence) => void process.stderr.write(output.hide(`${output.say(zh, en)}\n`))
  return await upgrade(() => openForMigrations(settings, tell), settings.database.location.kind, tell)
}
