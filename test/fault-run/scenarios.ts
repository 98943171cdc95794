// Which faults are injected into which deployment.

import type { Deployment } from './deployment.ts'
import { openGaleraDeployment, openGaleraWithoutRedis, startRivals } from './deployment-galera.ts'
import { openPooledDeployment } from './deployment-pooled.ts'
import { openMariadbDeployment, openPostgresDeployment } from './deployment-proxied.ts'
import { openClusterDeployment, openSentinelDeployment } from './deployment-redis-nodes.ts'
import { openMariadbReplicated, openPostgresReplicated } from './deployment-replicated.ts'
import { openSqliteDeployment } from './deployment-sqlite.ts'
import { type Fault, noFault, serverFaults } from './faults.ts'
import { mariadbFaults, postgresFaults } from './faults-database.ts'
import { galeraFaults, laggingNode } from './faults-galera.ts'
import { halfOpenClients } from './faults-half-open.ts'
import { clusterFaults, sentinelFaults } from './faults-nodes.ts'
import { pgbouncerFaults } from './faults-pgbouncer.ts'
import { connectionFaults, redisFaults } from './faults-redis.ts'
import { laggingReplica, restore, restoreWhileStopped, switchOver } from './faults-replicated.ts'
import { sqliteFaults } from './faults-sqlite.ts'
import { type Result, runScenario, type Scenario } from './scenario.ts'
import { openLimitedDeployment, startGuesses } from './workload-guesses.ts'

export interface DatabaseScenario {
  readonly database: string
  readonly faults: readonly string[]
  /** Injects the selected faults; null if none is selected. */
  run(source: string, isSelected: (fault: string) => boolean): Promise<Result | null>
}

const replicatedFaults = [noFault, restore, restoreWhileStopped, switchOver, laggingReplica]

export const scenarios: readonly DatabaseScenario[] = [
  scenarioOn('MariaDB', openMariadbDeployment, [
    noFault,
    ...serverFaults,
    halfOpenClients,
    ...redisFaults,
    ...connectionFaults,
    ...mariadbFaults,
  ]),
  scenarioOn('PostgreSQL', openPostgresDeployment, [
    noFault,
    ...serverFaults,
    ...redisFaults,
    ...connectionFaults,
    ...postgresFaults,
  ]),
  scenarioOn('MariaDB, Redis behind Sentinel', openSentinelDeployment, [noFault, ...sentinelFaults]),
  scenarioOn('MariaDB, Redis Cluster', openClusterDeployment, [noFault, ...clusterFaults]),
  scenarioOn(
    'MariaDB, with limits',
    openLimitedDeployment,
    [noFault, ...serverFaults.slice(0, 3), ...redisFaults, ...connectionFaults],
    startGuesses,
  ),
  scenarioOn('Galera, Redis', openGaleraDeployment, [noFault, ...galeraFaults, laggingNode], startRivals),
  scenarioOn('Galera', openGaleraWithoutRedis, [noFault, ...galeraFaults], startRivals),
  scenarioOn('MariaDB with a replica', openMariadbReplicated, replicatedFaults),
  scenarioOn('PostgreSQL with a replica', openPostgresReplicated, replicatedFaults),
  scenarioOn('PostgreSQL behind PgBouncer', openPooledDeployment, [noFault, ...pgbouncerFaults]),
  scenarioOn('SQLite', openSqliteDeployment, [noFault, ...serverFaults, ...sqliteFaults]),
]

function scenarioOn<S extends Deployment>(
  database: string,
  open: (source: string) => Promise<S>,
  all: readonly Fault<S>[],
  work?: Scenario<S>['work'],
): DatabaseScenario {
  return {
    database,
    faults: all.map(({ name }) => name),
    async run(source, isSelected) {
      const faults = all.filter(({ name }) => isSelected(name))
      return faults.length === 0 ? null : await runScenario({ open, source, faults, ...(work && { work }) })
    },
  }
}
