/** `npm run test:unit`: the tests that need no server and no process of their own. */

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: [
      'src/**/*.test.ts',
      'sdk/src/**/*.test.ts',
      'test/docs/{comments,function-length,import-order,translations}.test.ts',
    ],
    // These start servers.
    exclude: [
      'src/database/sqlite-dialect.test.ts',
      'src/limits/{many-servers,store-sql,stores}.test.ts',
      'src/redis/connections.test.ts',
    ],
    pool: 'forks',
  },
})
