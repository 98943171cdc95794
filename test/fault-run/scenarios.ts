// Which faults are injected on which database.
import { type Fault, nothing, serverFaults } from './faults.ts'
import { mariadbFaults, postgresFaults } from './faults-database.ts'
import { clusterFaults, sentinelFaults } from './faults-nodes.ts'
import { lineFaults, redisFaults } from './faults-redis.ts'
import { sqliteFaults } from './faults-sqlite.ts'
import { openLimitedDeployment, startGuesses } from './workload-guesses.ts'
import { halfOpenClients } from './faults-half-open.ts'
import { type Scenario, runScenario, type Result } from './scenario.ts'
import type { Deployment } from './deployment.ts'
import { openMariadbDeployment, openPostgresDeployment } from './deployment-proxied.ts'
import { openClusterDeployment, openSentinelDeployment } from './deployment-redis-nodes.ts'
import { openSqliteDeployment } from './deployment-sqlite.ts'

export interface DatabaseScenario {
  readonly database: string
  readonly faults: readonly string[]
  /** Injects those faults whose names are wanted; null where there is none. */
  run(source: string, isWanted: (fault: string) => boolean): Promise<Result | null>
}

export const scenarios: readonly DatabaseScenario[] = [
  scenarioOn('MariaDB', openMariadbDeployment, [
    nothing,
    ...serverFaults,
    halfOpenClients,
    ...redisFaults,
    ...lineFaults,
    ...mariadbFaults,
  ]),
  scenarioOn('PostgreSQL', openPostgresDeployment, [
    nothing,
    ...serverFaults,
    ...redisFaults,
    ...lineFaults,
    ...postgresFaults,
  ]),
  scenarioOn('MariaDB, Redis behind Sentinel', openSentinelDeployment, [nothing, ...sentinelFaults]),
  scenarioOn('MariaDB, Redis Cluster', openClusterDeployment, [nothing, ...clusterFaults]),
  scenarioOn(
    'MariaDB, with limits',
    openLimitedDeployment,
    [nothing, ...serverFaults.slice(0, 3), ...redisFaults, ...lineFaults],
    startGuesses,
  ),
  scenarioOn('SQLite', openSqliteDeployment, [nothing, ...serverFaults, ...sqliteFaults]),
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
    async run(source, isWanted) {
      const faults = all.filter(({ name }) => isWanted(name))
      return faults.length === 0 ? null : await runScenario({ open, source, faults, ...(work && { work }) })
    },
  }
}
