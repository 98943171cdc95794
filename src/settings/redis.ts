// Settings of Redis.
import { parseRedisUrl } from '../redis/redis-url.ts'
import { oneOf } from './parsers.ts'
import { setting } from './setting.ts'

export const redisSettings = {
  url: setting({
    name: 'HUFU_REDIS_URL',
    default: '',
    meaning:
      'Redis or Valkey for the session cache: `redis://…`, `redis+sentinel://…` or `redis+cluster://…`. Empty: none, every check reads the database.',
    secret: true,
    parse: redisUrl,
  }),
  withoutDatabase: setting({
    name: 'HUFU_WITHOUT_DATABASE',
    default: 'refuse',
    meaning:
      'What a check with Redis does while the database is away: `refuse` it (503), or `trust_cache`, which may accept for up to 10 minutes what another server has ended.',
    parse: oneOf('refuse', 'trust_cache'),
  }),
}

function redisUrl(text: string): string | null {
  if (text === '') return null
  parseRedisUrl(text)
  return text
}
