// One server on SQLite, alone and without Redis, with its file on a disk that a fault can fill.
import { join } from 'node:path'
import { openDisk, type SmallDisk } from '../support/services/disk.ts'
import { openStageDatabase, type Stage, startHufu } from './stage.ts'

export interface SqliteStage extends Stage {
  readonly disk: SmallDisk
}

export async function openSqliteStage(source: string): Promise<SqliteStage> {
  const disk = openDisk()
  const databaseUrl = `sqlite:${join(disk.folder, 'hufu.db')}`
  const server = await startHufu('s1', source, { HUFU_DATABASE_URL: databaseUrl })
  const database = openStageDatabase(databaseUrl)
  return {
    ...database,
    servers: [server],
    disk,
    async close() {
      await server.close()
      await database.db.destroy()
      disk.close()
    },
  }
}
