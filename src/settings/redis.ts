// Settings of Redis.
import { parseRedisUrl } from '../redis/redis-url.ts'
import { oneOf } from './parsers.ts'
import { setting } from './setting.ts'

export const redisSettings = {
  url: setting({
    name: 'HUFU_REDIS_URL',
    default: '',
    secret: true,
    parse: redisUrl,
  }),
  withoutDatabase: setting({
    name: 'HUFU_WITHOUT_DATABASE',
    default: 'refuse',
    parse: oneOf('refuse', 'trust_cache'),
  }),
}

function redisUrl(text: string): string | null {
  if (text === '') return null
  parseRedisUrl(text)
  return text
}
