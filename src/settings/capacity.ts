// Settings of one machine's capacity. A request above it is refused at once, with a time to retry.
import { availableParallelism } from 'node:os'
import { whole } from './parsers.ts'
import { setting } from './setting.ts'

export const capacitySettings = {
  passwordParallel: setting({
    name: 'HUFU_PASSWORD_PARALLEL',
    default: String(Math.max(1, availableParallelism() - 1)),
    parse: whole(1, 128),
  }),
  passwordQueue: setting({
    name: 'HUFU_PASSWORD_QUEUE',
    default: '100',
    parse: whole(0, 100_000),
  }),
  maxConnections: setting({
    name: 'HUFU_MAX_CONNECTIONS',
    default: '10000',
    parse: whole(1, 1_000_000),
  }),
  keyLookups: setting({
    name: 'HUFU_KEY_LOOKUPS_PER_SECOND',
    default: '5000',
    parse: whole(1, 1_000_000),
  }),
}
