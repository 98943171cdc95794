// What happens to the disk under SQLite.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { whyNoFullDisk } from '../support/services/disk.ts'
import { brokenMs, type Fault } from './faults.ts'
import type { HufuServer } from './deployment.ts'
import type { SqliteDeployment } from './deployment-sqlite.ts'

export const sqliteFaults: readonly Fault<SqliteDeployment>[] = [
  {
    name: 'the disk is full',
    isFelt: true,
    missing: whyNoFullDisk,
    async run(deployment) {
      const pid = pidOf(deployment.servers[0])
      await emptyLog(deployment)
      deployment.disk.fill(pid)
      await sleep(brokenMs)
      deployment.disk.makeRoom(pid)
    },
  },
  {
    name: 'the disk is full, and the server is killed',
    isFelt: true,
    missing: whyNoFullDisk,
    async run(deployment) {
      const [server] = deployment.servers
      const pid = pidOf(server)
      await emptyLog(deployment)
      deployment.disk.fill(pid)
      await sleep(brokenMs)
      await server.process.stop('SIGKILL')
      deployment.disk.makeRoom(pid)
      await server.restart('SIGKILL')
    },
  },
]

/** Else a log that was longer once takes more writes without any new room. */
async function emptyLog({ db }: SqliteDeployment): Promise<void> {
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
