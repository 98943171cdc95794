/** The test runner: unit tests beside their source, whole-program tests in test/, on real database servers. */

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The longest files, in the order in which they start: one that started last would run on alone. */
const longest = [
  'test/coherence/service-keys.test.ts',
  'test/coherence/cache-model.test.ts',
  'test/docs/new-machine.test.ts',
  'test/coherence/many-sessions.test.ts',
  'test/robustness/bad-requests.test.ts',
  'test/accounts/rotation.test.ts',
  'test/docs/docs-blocks.test.ts',
  'test/coherence/races.test.ts',
  'test/coherence/outages.test.ts',
  'test/operations/command-line.test.ts',
  'test/coherence/feed.test.ts',
  'test/operations/workers.test.ts',
  'test/coherence/rolling-restart.test.ts',
  'test/robustness/bad-connections.test.ts',
  'test/accounts/removals.test.ts',
  'test/coherence/lagging-replica.test.ts',
  'test/accounts/limits.test.ts',
  'test/coherence/galera.test.ts',
  'test/operations/doctor-trials.test.ts',
  'test/robustness/pipelined-bodies.test.ts',
  'test/coherence/end-of-all-accounts.test.ts',
  'test/operations/keys-command.test.ts',
  'test/accounts/sign-in-repeats.test.ts',
  'test/coherence/redis-sentinel.test.ts',
  'test/coherence/two-versions.test.ts',
  'test/coherence/pending-ends.test.ts',
  'test/operations/first-database.test.ts',
  'test/coherence/switch-over.test.ts',
  'test/robustness/mistakes.test.ts',
  'test/coherence/redis-cluster.test.ts',
  'test/api/gateways.test.ts',
  'test/coherence/restore.test.ts',
  'test/accounts/export.test.ts',
  'test/docs/bench.test.ts',
  'test/operations/database-failures.test.ts',
  'test/operations/operations.test.ts',
].map((path) => fileURLToPath(new URL(path, import.meta.url)))

const renamed = longest.filter((path) => !existsSync(path))
if (renamed.length > 0) throw new Error(`vitest.config.ts names files that are not there: ${renamed}`)

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification) => {
      const rank = longest.indexOf(moduleId)
      return rank < 0 ? longest.length : rank
    }
    return (await super.sort(files)).toSorted((a, b) => rankOf(a) - rankOf(b))
  }
}

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'sdk/src/**/*.test.ts'],
    globalSetup: './test/support/services/global-setup.ts',
    sequence: { sequencer: LongestFirst },
    // A search reads its constants and functions millions of times, which takes longer through vitest's modules.
    server: { deps: { external: [/\/test\/coherence\/cache-model\//] } },
    // A fault shows as a wrong answer and not as a slow one: a busy machine must not look like a fault.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    pool: 'forks',
    // One more than the two cores of the smallest machine: a third of the time a file waits for what it has broken.
    maxWorkers: 3,
  },
})
