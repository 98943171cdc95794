// One server on SQLite without Redis, whose file is on a disk that a fault can fill.
import { join } from 'node:path'
import { openDisk, type SmallDisk } from '../support/services/disk.ts'
import { type Deployment, openDeploymentDatabase, startHufu } from './deployment.ts'

export interface SqliteDeployment extends Deployment {
  readonly disk: SmallDisk
}

export async function openSqliteDeployment(source: string): Promise<SqliteDeployment> {
  const disk = openDisk()
  const databaseUrl = `sqlite:${join(disk.folder, 'hufu.db')}`
  const server = await startHufu('s1', source, { HUFU_DATABASE_URL: databaseUrl })
  const database = openDeploymentDatabase(databaseUrl)
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
