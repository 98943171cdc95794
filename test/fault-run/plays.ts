// Which faults are played on which database.
import { type Fault, nothing, serverFaults } from './faults.ts'
import { mariadbFaults, postgresFaults } from './faults-database.ts'
import { clusterFaults, sentinelFaults } from './faults-nodes.ts'
import { lineFaults, redisFaults } from './faults-redis.ts'
import { sqliteFaults } from './faults-sqlite.ts'
import { openCountingStage, startGuessing } from './guessing.ts'
import { halfOpenClients } from './half-open.ts'
import { type Play, play, type Result } from './play.ts'
import type { Stage } from './stage.ts'
import { openMariadbStage, openPostgresStage } from './stage-linked.ts'
import { openClusterStage, openSentinelStage } from './stage-nodes.ts'
import { openSqliteStage } from './stage-sqlite.ts'

export interface DatabasePlay {
  readonly database: string
  readonly faults: readonly string[]
  /** Plays those faults whose names are wanted; null where there is none. */
  run(source: string, isWanted: (fault: string) => boolean): Promise<Result | null>
}

export const plays: readonly DatabasePlay[] = [
  playOn('MariaDB', openMariadbStage, [
    nothing,
    ...serverFaults,
    halfOpenClients,
    ...redisFaults,
    ...lineFaults,
    ...mariadbFaults,
  ]),
  playOn('PostgreSQL', openPostgresStage, [
    nothing,
    ...serverFaults,
    ...redisFaults,
    ...lineFaults,
    ...postgresFaults,
  ]),
  playOn('MariaDB, Redis behind Sentinel', openSentinelStage, [nothing, ...sentinelFaults]),
  playOn('MariaDB, Redis Cluster', openClusterStage, [nothing, ...clusterFaults]),
  playOn(
    'MariaDB, with limits',
    openCountingStage,
    [nothing, ...serverFaults.slice(0, 3), ...redisFaults, ...lineFaults],
    startGuessing,
  ),
  playOn('SQLite', openSqliteStage, [nothing, ...serverFaults, ...sqliteFaults]),
]

function playOn<S extends Stage>(
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
