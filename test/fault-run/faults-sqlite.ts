// Faults of the disk under SQLite.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { whyNoFullDisk } from '../support/services/disk.ts'
import type { HufuServer } from './deployment.ts'
import type { SqliteDeployment } from './deployment-sqlite.ts'
import { type Fault, faultMs } from './faults.ts'

export const sqliteFaults: readonly Fault<SqliteDeployment>[] = [
  {
    name: 'the disk is full',
    mustFailRequests: true,
    whySkipped: whyNoFullDisk,
    async run(deployment) {
      const pid = pidOf(deployment.servers[0])
      await truncateWal(deployment)
      deployment.disk.fill(pid)
      await sleep(faultMs)
      deployment.disk.makeRoom(pid)
    },
  },
  {
    name: 'the disk is full, and the server is killed',
    mustFailRequests: true,
    whySkipped: whyNoFullDisk,
    async run(deployment) {
      const [server] = deployment.servers
      const pid = pidOf(server)
      await truncateWal(deployment)
      deployment.disk.fill(pid)
      await sleep(faultMs)
      await server.process.stop('SIGKILL')
      deployment.disk.makeRoom(pid)
      await server.restart('SIGKILL')
    },
  },
]

/** A WAL file that was once longer takes more writes without needing disk space. */
async function truncateWal({ db }: SqliteDeployment): Promise<void> {
  for (;;) {
    const { rows } = await sql<{ busy: number }>`pragma wal_checkpoint(truncate)`.execute(db)
    if (rows[0]?.busy === 0) return
    await sleep(5)
  }
}

function pidOf({ process }: HufuServer): number {
  if (process.child.pid === undefined) throw new Error('the server has no process')
  return process.child.pid
}
