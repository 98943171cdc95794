/** `npm run test:unit`: the tests that need no server and no process of their own. */

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: [
      'src/**/*.test.ts',
      'sdk/src/**/*.test.ts',
      'test/docs/{comments,function-length,import-order,translations}.test.ts',
    ],
    // The first builds apps with tools that it installs; the others start servers.
    exclude: [
      'sdk/src/packed.test.ts',
      'src/database/sqlite-dialect.test.ts',
      'src/limits/{many-servers,store-sql,stores}.test.ts',
      'src/redis/connections.test.ts',
    ],
    // A busy machine must not look like a fault.
    testTimeout: 60_000,
    pool: 'forks',
  },
})
