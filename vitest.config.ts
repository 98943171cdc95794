/** The test runner: unit tests beside their source, whole-program tests in test/, on real database servers. */

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'sdk/src/**/*.test.ts'],
    globalSetup: './test/support/services/global-setup.ts',
    // A fault shows as a wrong answer and not as a slow one: a busy machine must not look like a fault.
    testTimeout: 90_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})
