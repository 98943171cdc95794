// Settings of one machine's capacity. A request above it is refused at once, with a time to retry.
import { availableParallelism } from 'node:os'
import { whole } from './parsers.ts'
import { setting } from './setting.ts'

export const capacitySettings = {
  passwordParallel: setting({
    name: 'HUFU_PASSWORD_PARALLEL',
    default: String(Math.max(1, availableParallelism() - 1)),
    meaning:
      'Password hashes computed at once, by all workers together. Default: the number of cores less one (19 MiB of memory each).',
    parse: whole(1, 128),
  }),
  passwordQueue: setting({
    name: 'HUFU_PASSWORD_QUEUE',
    default: '100',
    meaning:
      'Sign-ins that may wait for a password hash, in all workers together; more are answered 503 with `Retry-After` at once.',
    parse: whole(0, 100_000),
  }),
  maxConnections: setting({
    name: 'HUFU_MAX_CONNECTIONS',
    default: '10000',
    meaning:
      'Client connections at once, for each process; the next one is answered 503 and closed. At most the limit of open files minus 200.',
    parse: whole(1, 1_000_000),
  }),
}
