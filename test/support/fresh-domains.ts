// A database for each test of a block, and the servers without HTTP that the test opens on it.
import { afterEach, beforeEach } from 'vitest'
import { type DatabaseUnderTest, type FreshDatabase, redisUrl } from './databases.ts'
import { type Domain, type DomainOptions, openDomain } from './in-process-server.ts'

export interface FreshDomains {
  /** The URL of the test's database. */
  url(): string
  /** Opens a server, with the shared Redis unless another `redisUrl` is given. */
  open(options?: Partial<DomainOptions>): Promise<Domain>
}

/**
 * Registers the hooks of a `describe` block: each test gets a new database, and after it, its servers are
 * closed and the database is dropped. Skipped tests get none.
 */
export function freshDomains(database: DatabaseUnderTest, redis: boolean): FreshDomains {
  const opened: Domain[] = []
  let fresh: FreshDatabase | null = null

  const url = () => {
    if (!fresh) throw new Error('there is a database only while a test runs')
    return fresh.url
  }
  beforeEach(async () => {
    if (database.skipped === null) fresh = await database.create()
  })
  afterEach(async () => {
    for (const domain of opened.splice(0)) await domain.close()
    await fresh?.drop()
  })
  return {
    url,
    async open(options) {
      const domain = await openDomain({
        databaseUrl: url(),
        redisUrl: redis ? redisUrl() : null,
        ...options,
      })
      opened.push(domain)
      return domain
    },
  }
}
