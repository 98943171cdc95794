// The databases that can have a replica, for tests of a fail-over.
import { inject } from 'vitest'
import {
  type Replication,
  type ReplicationOptions,
  startMariadbReplication,
  startPostgresReplication,
} from './services/replication.ts'

interface ReplicatedDatabase {
  readonly name: 'mariadb' | 'postgres'
  /** The reason why its tests are skipped; null if they run. */
  readonly skipped: string | null
  /** Starts a primary. */
  readonly start: (options?: ReplicationOptions) => Promise<Replication>
}

export const replicatedDatabases: readonly ReplicatedDatabase[] = [
  { name: 'mariadb', skipped: inject('mariadb').skipped, start: startMariadbReplication },
  { name: 'postgres', skipped: inject('postgres').skipped, start: startPostgresReplication },
]
