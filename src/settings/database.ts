// Settings of the database.
import { type DatabaseKind, parseDatabaseUrl } from '../database/database-url.ts'
import { whole } from './parsers.ts'
import { setting } from './setting.ts'

export const databaseSettings = {
  location: setting({
    name: 'HUFU_DATABASE_URL',
    default: 'sqlite:./data/hufu.db',
    meaning: 'The database: `sqlite:<path>`, `mysql://…` (MariaDB too) or `postgres://…`.',
    secret: true,
    parse: databaseUrl,
  }),
  waitSeconds: setting({
    name: 'HUFU_DATABASE_WAIT_SECONDS',
    default: '30',
    meaning: 'How many seconds a start waits for a database that does not answer yet.',
    parse: whole(0, 3_600),
  }),
  pool: setting({
    name: 'HUFU_DATABASE_POOL',
    default: '10',
    meaning: 'Connections to MySQL or PostgreSQL, at most, for each process.',
    parse: whole(1, 500),
  }),
}

function databaseUrl(text: string): { url: string; kind: DatabaseKind } {
  return { url: text, kind: parseDatabaseUrl(text).kind }
}
