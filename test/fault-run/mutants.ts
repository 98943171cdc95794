// Mutants of the program, with mistakes that ordinary tests would miss. The checker must find each of them;
// otherwise its result for the real program proves nothing.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyVersion, type SourceChange } from '../support/other-versions.ts'
import type { Rule, Violation } from './checker.ts'
import type { Deployment } from './deployment.ts'
import { openGaleraDeployment, openGaleraWithoutRedis } from './deployment-galera.ts'
import { openPooledDeployment } from './deployment-pooled.ts'
import { openMariadbDeployment } from './deployment-proxied.ts'
import { openMariadbReplicated, openPostgresReplicated } from './deployment-replicated.ts'
import { noFault } from './faults.ts'
import { laggingNode } from './faults-galera.ts'
import { foreignDurability, foreignSettings } from './faults-pgbouncer.ts'
import { laggingReplica, restore, restoreWhileStopped, switchOver } from './faults-replicated.ts'
import { type Result, runScenario, type Scenario } from './scenario.ts'
import { openLimitedDeployment, startGuesses } from './workload-guesses.ts'
import { startPairs } from './workload-pairs.ts'

/** What the auditor finds after the run. */
const contradiction = 'contradiction in the stores'

export interface Mutant {
  readonly name: string
  /** Lines of the source and their replacements. A change of such a line needs a change here. */
  readonly changes: readonly SourceChange[]
  readonly violates: Rule | typeof contradiction
  /** The scenario in which it is found; on MariaDB without any fault by default. */
  readonly run?: RunMutant
}

type Common = Required<Pick<Scenario<Deployment>, 'source' | 'isEnough'>>
type RunMutant = (common: Common) => Promise<Result>

function on<S extends Deployment>(scenario: Omit<Scenario<S>, keyof Common>): RunMutant {
  return (common) => runScenario({ ...scenario, ...common })
}

const times = <T>(count: number, fault: T): T[] => Array.from({ length: count }, () => fault)

const onMariadb = on({ open: openMariadbDeployment, faults: times(3, noFault) })

/** The steps by which the feed finds that the database has lost commits. */
const findsMissingRows: SourceChange = [
  'src/changes/feed.ts',
  'if (expected.size > 0) await this.#changeHistory(db)',
  '',
]
const findsOtherServer: SourceChange = [
  'src/changes/feed.ts',
  'if (isOther && this.#server?.mayHaveLost()) await this.#changeHistory(db)',
  '',
]

const cluster = { with: openGaleraDeployment, without: openGaleraWithoutRedis } as const

/** Mutants of Galera that break a promise with Redis and without it: each must be found both ways. */
const galeraMutants = (['with', 'without'] as const).flatMap((redis): Mutant[] => [
  {
    // A node that gets the other one's write while a transaction is open ends that transaction. So the
    // mistake shows only where both commit at the same moment.
    name: `on Galera ${redis} Redis, a write does not change the row that it locks, and writes commit together`,
    changes: [
      ['src/sessions/locked-account-rows.ts', 'a.writes = coalesce(a.writes, 0) + 1', 'a.writes = a.writes'],
      [
        'src/sessions/account-writer.ts',
        'await mark.confirm()',
        'await mark.confirm()\n    await new Promise((resolve) => setTimeout(resolve, 200 - (Date.now() % 200)))',
      ],
    ],
    violates: 'two live sessions',
    run: on({ open: cluster[redis], work: startPairs, faults: times(8, noFault) }),
  },
  {
    name: `on Galera ${redis} Redis, reads of sessions do not wait for the writes of other nodes, whatever the state of their node`,
    changes: [
      ['src/database/galera.ts', "if (state !== 'Synced')", 'if (false)'],
      [
        'src/database/open.ts',
        'db.executeQuery<R>({ ...query, parameters })',
        "db.executeQuery<R>({ ...query, sql: 'set statement wsrep_sync_wait = 0 for ' + query.sql, parameters })",
      ],
    ],
    violates: 'accepted after its end',
    run: on({ open: cluster[redis], faults: times(8, laggingNode) }),
  },
])

export const mutants: readonly Mutant[] = [
  {
    // A settle that finds no mark sets one before the response, so that one has to be removed as well.
    name: 'no write sets a mark, and no settle repairs it',
    changes: [
      [
        'src/session-cache/redis.ts',
        'client.set(key, markPrefix + markId, { expiration })',
        'Promise.resolve(client)',
      ],
      [
        'src/session-cache/redis-client.ts',
        "redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[4])\n    return 0",
        'return 0',
      ],
    ],
    violates: 'accepted after its end',
  },
  {
    name: 'a late fill overwrites the entry, and the feed is ignored',
    changes: [
      [
        'src/session-cache/redis.ts',
        'await withFewAtOnce(entries, fillOne)',
        'await sleep(50)\n    await withFewAtOnce(entries, fillOne)',
      ],
      [
        'src/session-cache/redis-client.ts',
        'if not run then return 0 end\n      if run == ARGV[2] then',
        'if false then',
      ],
      ['src/session-cache/redis.ts', 'this.#lastChanges.isCurrent(bucket, position) ||', 'true ||'],
    ],
    violates: 'accepted after its end',
  },
  {
    name: 'a caller is not checked again, neither after its body nor under the lock',
    changes: [
      [
        'src/http/authenticate.ts',
        "if (!request.signedIn || request.method === 'GET') return done()",
        'return done()',
      ],
      [
        'src/sessions/account-writer.ts',
        'if (by) assertLive(await sessions.find(by.sessionId), by, now)',
        '',
      ],
    ],
    violates: 'effect after its end',
  },
  {
    name: 'the first use of a token leaves its sign-in open to retries',
    changes: [
      [
        'src/sessions/verification.ts',
        "if (!ending && status === 'successor') return this.#acceptSuccessor(presented, session)",
        '',
      ],
    ],
    violates: 'a used token was replaced',
  },
  {
    name: 'the UPDATE that consumes a code has no guard',
    changes: [
      [
        'src/codes/code-rows.ts',
        "    .where('nonce', '=', nonce)\n    .where('used_at', 'is', null)",
        "    .where('nonce', '=', nonce)",
      ],
    ],
    violates: 'two sign-ins with one code',
  },
  {
    name: 'counters are read without a lock and then written',
    changes: [['src/limits/counter-rows.ts', '    .forUpdate()\n', '']],
    violates: 'more guesses than the limits allow',
    run: on({ open: openLimitedDeployment, work: startGuesses, faults: times(3, noFault) }),
  },
  {
    // Without Redis nothing depends on the feed, because every check reads the database.
    name: 'on Galera, the feed does not wait for the writes of other nodes, whatever the state of its node',
    changes: [
      ['src/database/galera.ts', "if (state !== 'Synced')", 'if (false)'],
      [
        'src/changes/feed.ts',
        'async #read(db: Database, began: number): Promise<void> {',
        'async #read(db: Database, began: number): Promise<void> {\n    await sql`set session wsrep_sync_wait = 0`.execute(db)',
      ],
      [
        'src/changes/feed.ts',
        "import { setTimeout as sleep } from 'node:timers/promises'",
        "import { setTimeout as sleep } from 'node:timers/promises'\nimport { sql } from 'kysely'",
      ],
    ],
    violates: 'accepted after its end',
    run: on({ open: openGaleraDeployment, faults: times(8, laggingNode) }),
  },
  ...galeraMutants,
  {
    name: 'the feed does not look for the changes that it knows',
    changes: [findsMissingRows],
    violates: 'accepted after its end',
    run: on({ open: openMariadbReplicated, faults: times(4, restore) }),
  },
  {
    name: 'the feed looks neither for the changes that it knows nor for another server',
    changes: [findsMissingRows, findsOtherServer],
    violates: 'accepted after its end',
    run: on({ open: openPostgresReplicated, faults: times(4, laggingReplica) }),
  },
  {
    name: 'servers that start accept the history that they find',
    changes: [['src/changes/feed.ts', 'history && (await this.#watch.isWatched(history))', 'history']],
    violates: 'accepted after its end',
    run: on({ open: openMariadbReplicated, faults: times(4, restoreWhileStopped) }),
  },
  {
    name: 'cache entries count in any history',
    changes: [
      [
        'src/session-cache/redis.ts',
        "if (bytes.toString('latin1', 0, runEnd) !== run + this.#feed.history) return cacheMiss",
        "if (!bytes.toString('latin1', 0, runEnd).startsWith(run)) return cacheMiss",
      ],
    ],
    violates: 'accepted after its end',
    run: on({ open: openMariadbReplicated, faults: times(4, laggingReplica) }),
  },
  {
    name: 'connections to a read-only server are kept',
    changes: [['src/database/server-identity.ts', '    this.#server = null\n    this.#replaceAll()', '']],
    violates: 'no recovery',
    run: on({ open: openMariadbReplicated, faults: [switchOver] }),
  },
  {
    name: 'behind PgBouncer, a transaction begins with the modes that another program has left',
    changes: [
      [
        'src/database/postgres-sessions.ts',
        "'begin isolation level read committed, read write, not deferrable'",
        "'begin'",
      ],
    ],
    violates: 'no recovery',
    run: on({ open: openPooledDeployment, faults: [foreignSettings] }),
  },
  {
    name: 'behind PgBouncer, a transaction has the durability that another program has left',
    changes: [
      ['src/database/session-defaults.ts', 'select ${[...calls, durability].join', 'select ${calls.join'],
    ],
    violates: contradiction,
    run: on({ open: openPooledDeployment, faults: times(5, foreignDurability) }),
  },
]

/**
 * The number of violations of the expected rule, found in the mutant without any fault or with its own.
 * @throws MissingBinary where a server program that it needs is missing
 */
export async function violationsOfMutant(project: string, mutant: Mutant): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'hufu-mutants-'))
  const ofRule = ({ rule }: { readonly rule: Rule }) => rule === mutant.violates
  try {
    copyVersion(project, folder, mutant.changes)
    const isEnough = (found: readonly Violation[]) => found.some(ofRule)
    const { violations, audited } = await (mutant.run ?? onMariadb)({ source: folder, isEnough })
    return mutant.violates === contradiction ? audited.length : violations.filter(ofRule).length
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
