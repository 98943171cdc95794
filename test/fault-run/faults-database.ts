// Faults of MariaDB and PostgreSQL.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { createConnection } from 'mysql2/promise'
import { Client } from 'pg'
import type { ProxiedDeployment } from './deployment.ts'
import type { MariadbDeployment, PostgresDeployment } from './deployment-proxied.ts'
import { type Fault, faultMs, pause, repeatedly, restartStore } from './faults.ts'

export const mariadbFaults: readonly Fault<MariadbDeployment>[] = [
  {
    name: 'MariaDB is killed',
    mustFailRequests: true,
    run: ({ mariadb }) => restartStore(mariadb, 'SIGKILL'),
  },
  {
    name: 'MariaDB is restarted',
    mustFailRequests: true,
    run: ({ mariadb }) => restartStore(mariadb, 'SIGTERM'),
  },
  { name: 'MariaDB is paused', run: ({ mariadb }) => pause((signal) => process.kill(mariadb.pid, signal)) },
  {
    name: 'MariaDB ends all connections',
    run: (deployment) => repeatedly(() => endMariadbConnections(deployment)),
  },
  {
    name: 'MariaDB has no free connection',
    mustFailRequests: true,
    async run(deployment) {
      // The smallest value that MariaDB accepts.
      await sql`set global max_connections = 10`.execute(deployment.db)
      await exhaustConnections(deployment, () => openMariadbConnection(deployment.databaseUrl))
      await sql`set global max_connections = 300`.execute(deployment.db)
    },
  },
]

export const postgresFaults: readonly Fault<PostgresDeployment>[] = [
  {
    name: 'PostgreSQL is killed',
    mustFailRequests: true,
    run: ({ postgres }) => restartStore(postgres, 'SIGKILL'),
  },
  {
    name: 'PostgreSQL is restarted',
    mustFailRequests: true,
    run: ({ postgres }) => restartStore(postgres, 'SIGINT'),
  },
  {
    name: 'PostgreSQL is paused',
    run: ({ postgres }) => pause((signal) => postgres.signal(signal)),
  },
  {
    name: 'PostgreSQL ends all connections',
    run: ({ db }) =>
      repeatedly(() =>
        sql`select pg_terminate_backend(pid) from pg_stat_activity
            where pid <> pg_backend_pid() and backend_type = 'client backend'`.execute(db),
      ),
  },
  {
    name: 'PostgreSQL has no free connection',
    mustFailRequests: true,
    run: (deployment) => exhaustConnections(deployment, () => openPostgresConnection(deployment.databaseUrl)),
  },
]

async function endMariadbConnections({ db }: MariadbDeployment): Promise<void> {
  const { rows } = await sql<{ id: number }>`
    select id from information_schema.processlist where command <> 'Daemon' and id <> connection_id()`.execute(
    db,
  )
  for (const { id } of rows) await sql`kill ${sql.lit(id)}`.execute(db).catch(() => {})
}

type Close = () => unknown

/**
 * Takes every connection that the database allows, including those that the servers return to it, while the
 * servers try to open new ones.
 */
async function exhaustConnections({ servers }: ProxiedDeployment, open: () => Promise<Close>): Promise<void> {
  const taken: Close[] = []
  const takeAll = async () => {
    for (let close = await tryOpen(open); close; close = await tryOpen(open)) taken.push(close)
  }
  for (const { databaseProxy } of servers) databaseProxy.set('refuse')
  await takeAll()
  for (const { databaseProxy } of servers) databaseProxy.set('pass')
  const until = performance.now() + faultMs
  while (performance.now() < until) {
    await takeAll()
    await sleep(20)
  }
  for (const close of taken) close()
}

async function tryOpen(open: () => Promise<Close>): Promise<Close | null> {
  return await open().catch(() => null)
}

async function openMariadbConnection(url: string): Promise<Close> {
  const connection = await createConnection({ uri: url, connectTimeout: 2_000 })
  connection.on('error', () => {})
  return () => connection.destroy()
}

async function openPostgresConnection(url: string): Promise<Close> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  client.on('error', () => {})
  await client.connect()
  return () => client.end().catch(() => {})
}
