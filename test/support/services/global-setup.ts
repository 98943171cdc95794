/** Starts the database servers once for a whole test run, and provides their addresses to the tests. */

import type { TestProject } from 'vitest/node'
import { MissingBinary } from './binaries.ts'
import { createFolder } from './folders.ts'
import { startMariadb } from './mariadb.ts'
import { findMysql, startMysql } from './mysql.ts'
import { startPostgres } from './postgres.ts'
import { startRedis } from './redis.ts'
import { createTemplates, type Templates } from './templates.ts'

/** The address of a server, or the reason why there is none. */
export type ProvidedServer = { url: string; skipped: null } | { url: null; skipped: string }

declare module 'vitest' {
  interface ProvidedContext {
    mariadb: ProvidedServer
    mysql: ProvidedServer
    postgres: ProvidedServer
    redis: ProvidedServer
    templates: Templates
  }
}

type Server = { url: string; stop(): Promise<void> }

/**
 * Starts MariaDB, MySQL where it is installed, PostgreSQL and a Redis that all tests share; the returned
 * function ends them.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Test workers inherit it, so the files that a killed one leaves behind are removed with the run.
  process.env.TMPDIR = createFolder('run')
  const running: Server[] = []
  const urls: Record<string, string> = {}
  const starts = await Promise.allSettled([
    // No test kills this server, so no page is ever half written.
    start('mariadb', 'MariaDB', () => startMariadb({ args: ['--skip-innodb-doublewrite'] })),
    startMysqlIfAny(),
    start('postgres', 'PostgreSQL', startPostgres),
    // One logical database for each test file, see redisUrl in stores.ts.
    start('redis', 'Redis', () => startRedis({ args: ['--databases', `${redisDatabases}`] })),
  ])
  const failures = starts.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  if (failures.length > 0) {
    await stopAll()
    throw failures[0]
  }
  project.provide('templates', await createTemplates(urls))
  return stopAll

  async function stopAll(): Promise<void> {
    await Promise.all(running.map((server) => server.stop()))
  }

  /** Few systems can install both MySQL and MariaDB, so a missing MySQL is no failure, in CI either. */
  async function startMysqlIfAny(): Promise<void> {
    const { file, skipped } = findMysql()
    if (file !== null) return await start('mysql', 'MySQL', () => startMysql(file))
    console.warn(`skipped: ${skipped}; tests on MySQL itself do not run`)
    project.provide('mysql', { url: null, skipped: skipped ?? 'not found' })
  }

  async function start(
    key: 'mariadb' | 'mysql' | 'postgres' | 'redis',
    title: string,
    begin: () => Promise<Server>,
  ) {
    try {
      const server = await begin()
      running.push(server)
      urls[key] = server.url
      project.provide(key, { url: server.url, skipped: null })
    } catch (error) {
      if (!(error instanceof MissingBinary) || process.env.CI === 'true') throw error
      console.warn(`skipped: ${error.message}; tests on ${title} do not run`)
      project.provide(key, { url: null, skipped: error.message })
    }
  }
}

/** The number of logical databases of the shared Redis. */
export const redisDatabases = 1024
