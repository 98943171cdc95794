// Settings of the database.
import { type DatabaseKind, parseDatabaseUrl } from '../database/database-url.ts'
import { whole } from './parsers.ts'
import { setting } from './setting.ts'

export const databaseSettings = {
  location: setting({
    name: 'HUFU_DATABASE_URL',
    default: 'sqlite:./data/hufu.db',
    secret: true,
    parse: databaseUrl,
  }),
  waitSeconds: setting({
    name: 'HUFU_DATABASE_WAIT_SECONDS',
    default: '30',
    parse: whole(0, 3_600),
  }),
  pool: setting({
    name: 'HUFU_DATABASE_POOL',
    default: '10',
    parse: whole(1, 500),
  }),
}

function databaseUrl(text: string): { url: string; kind: DatabaseKind } {
  return { url: text, kind: parseDatabaseUrl(text).kind }
}
