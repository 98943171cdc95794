// Servers in the state in which a reader of the documents installs them: fresh, with the distribution's
// superuser, on ports of their own.
import { createConnection } from 'mysql2/promise'
import { Client } from 'pg'
import { type Mariadb, startMariadb } from '../../support/services/mariadb.ts'
import { type Postgres, startPostgres } from '../../support/services/postgres.ts'
import { type RedisServer, startRedis } from '../../support/services/redis.ts'

/** Starts each on its first use; several documents use one after the other. */
export class Servers {
  #mariadb: Promise<Mariadb> | null = null
  #postgres: Promise<Postgres> | null = null
  #redis: Promise<RedisServer> | null = null

  async mariadb(): Promise<Mariadb> {
    // With the durability of a distribution.
    this.#mariadb ??= startMariadb({ args: ['--innodb-flush-log-at-trx-commit=1'] })
    return await this.#mariadb
  }

  /** Its superuser is `postgres`, and there is no user `hufu`. */
  async postgres(): Promise<Postgres> {
    this.#postgres ??= startAsDistributed()
    return await this.#postgres
  }

  async redis(): Promise<RedisServer> {
    this.#redis ??= startRedis()
    return await this.#redis
  }

  /** Runs statements as the superuser. */
  async inMariadb(statements: string): Promise<void> {
    const connection = await createConnection({
      uri: (await this.mariadb()).url,
      multipleStatements: true,
    })
    await connection.query(statements)
    connection.destroy()
  }

  /** The same in PostgreSQL. */
  async inPostgres(statements: string): Promise<void> {
    await inPostgres(`${asUser((await this.postgres()).url, 'postgres')}/postgres`, statements)
  }

  /** Removes what the previous document created. */
  async clear(): Promise<void> {
    if (this.#mariadb !== null)
      await this.inMariadb("drop database if exists hufu; drop user if exists 'hufu'@'%'")
    if (this.#postgres !== null)
      await this.inPostgres('drop database if exists hufu with (force); drop user if exists hufu')
    if (this.#redis !== null) await (await this.#redis).command('FLUSHALL')
  }

  async close(): Promise<void> {
    for (const server of [this.#mariadb, this.#postgres, this.#redis]) await (await server)?.stop()
  }
}

const asUser = (url: string, name: string) => url.replace('//hufu@', `//${name}@`)

async function inPostgres(connectionString: string, statements: string): Promise<void> {
  const client = new Client({ connectionString })
  await client.connect()
  // One by one: several statements at once are one transaction, which cannot create a database.
  for (const statement of statements.split(';').filter((text) => text.trim() !== ''))
    await client.query(statement)
  await client.end()
}

async function startAsDistributed(): Promise<Postgres> {
  const server = await startPostgres()
  // The test server starts with a superuser called hufu, which cannot rename itself.
  await inPostgres(`${server.url}/postgres`, 'create role postgres superuser login')
  await inPostgres(`${asUser(server.url, 'postgres')}/postgres`, 'alter role hufu rename to first_superuser')
  return server
}
