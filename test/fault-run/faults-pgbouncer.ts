// Faults of PgBouncer, of the server behind it, and of the other programs that use it.
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { type PooledDeployment, pooledConnections } from './deployment-pooled.ts'
import { type Fault, faultMs, restartStore } from './faults.ts'

export const foreignSettings: Fault<PooledDeployment> = {
  name: 'another program leaves its settings on the connections of PgBouncer',
  async run(deployment) {
    await leaveSettings(deployment, {
      lock_timeout: '1ms',
      default_transaction_isolation: 'serializable',
      default_transaction_read_only: 'on',
      statement_timeout: '10ms',
    })
    await sleep(faultMs)
  },
}

export const foreignDurability: Fault<PooledDeployment> = {
  name: 'another program turns synchronous_commit off there, and PostgreSQL is killed',
  mustFailRequests: true,
  async run(deployment) {
    await leaveSettings(deployment, { synchronous_commit: 'off' })
    await sleep(faultMs / 2)
    await restartStore(deployment.postgres, 'SIGKILL')
  },
}

export const pgbouncerFaults: readonly Fault<PooledDeployment>[] = [
  foreignSettings,
  {
    name: 'PgBouncer is killed',
    mustFailRequests: true,
    run: ({ pooler }) => restartStore(pooler, 'SIGKILL'),
  },
  {
    name: 'PostgreSQL is restarted behind PgBouncer',
    mustFailRequests: true,
    run: ({ postgres }) => restartStore(postgres, 'SIGINT'),
  },
  {
    name: 'PgBouncer has no free connection to PostgreSQL',
    mustFailRequests: true,
    run: (deployment) => onAllConnections(deployment, () => sleep(faultMs)),
  },
  foreignDurability,
]

/** Sets these on each connection to the server, as a program does that keeps its connection for itself. */
async function leaveSettings(
  deployment: PooledDeployment,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  await onAllConnections(deployment, async (clients) => {
    for (const client of clients)
      for (const [name, value] of Object.entries(settings)) await client.query(`set ${name} = '${value}'`)
  })
}

/** Takes all connections of the pooler to the server, one for each transaction, and commits after `work`. */
async function onAllConnections(
  { pooledUrl }: PooledDeployment,
  work: (clients: readonly Client[]) => Promise<unknown>,
): Promise<void> {
  const clients = Array.from(
    { length: pooledConnections },
    () => new Client({ connectionString: pooledUrl, connectionTimeoutMillis: 10_000 }),
  )
  try {
    await Promise.all(
      clients.map(async (client) => {
        client.on('error', () => {})
        await client.connect()
        await client.query('begin')
      }),
    )
    await work(clients)
    await Promise.all(clients.map((client) => client.query('commit')))
  } finally {
    for (const client of clients) await client.end()
  }
}
