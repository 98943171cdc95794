// Which faults are played on which database.
import { type Fault, nothing, serverFaults } from './faults.ts'
import { mariadbFaults, postgresFaults } from './faults-database.ts'
import { clusterFaults, sentinelFaults } from './faults-nodes.ts'
import { lineFaults, redisFaults } from './faults-redis.ts'
import { sqliteFaults } from './faults-sqlite.ts'
import { openLimitedDeployment, startGuessing } from './guessing.ts'
import { halfOpenClients } from './half-open.ts'
import { type Play, play, type Result } from './play.ts'
import type { Deployment } from './deployment.ts'
import { openMariadbDeployment, openPostgresDeployment } from './deployment-proxied.ts'
import { openClusterDeployment, openSentinelDeployment } from './deployment-redis-nodes.ts'
import { openSqliteDeployment } from './deployment-sqlite.ts'

export interface DatabasePlay {
  readonly database: string
  readonly faults: readonly string[]
  /** Plays those faults whose names are wanted; null where there is none. */
  run(source: string, isWanted: (fault: string) => boolean): Promise<Result | null>
}

export const plays: readonly DatabasePlay[] = [
  playOn('MariaDB', openMariadbDeployment, [
    nothing,
    ...serverFaults,
    halfOpenClients,
    ...redisFaults,
    ...lineFaults,
    ...mariadbFaults,
  ]),
  playOn('PostgreSQL', openPostgresDeployment, [
    nothing,
    ...serverFaults,
    ...redisFaults,
    ...lineFaults,
    ...postgresFaults,
  ]),
  playOn('MariaDB, Redis behind Sentinel', openSentinelDeployment, [nothing, ...sentinelFaults]),
  playOn('MariaDB, Redis Cluster', openClusterDeployment, [nothing, ...clusterFaults]),
  playOn(
    'MariaDB, with limits',
    openLimitedDeployment,
    [nothing, ...serverFaults.slice(0, 3), ...redisFaults, ...lineFaults],
    startGuessing,
  ),
  playOn('SQLite', openSqliteDeployment, [nothing, ...serverFaults, ...sqliteFaults]),
]

function playOn<S extends Deployment>(
  database: string,
  open: (source: string) => Promise<S>,
  all: readonly Fault<S>[],
  work?: Play<S>['work'],
): DatabasePlay {
  return {
    database,
    faults: all.map(({ name }) => name),
    async run(source, isWanted) {
      const faults = all.filter(({ name }) => isWanted(name))
      return faults.length === 0 ? null : await play({ open, source, faults, ...(work && { work }) })
    },
  }
}
