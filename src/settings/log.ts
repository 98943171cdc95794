// Settings of the log.
import { oneOf } from './parsers.ts'
import { setting } from './setting.ts'

export const logSettings = {
  level: setting({
    name: 'HUFU_LOG_LEVEL',
    default: 'info',
    meaning: 'What is logged: `debug`, `info` (a line for each request), `warn`, `error` or `silent`.',
    parse: oneOf('debug', 'info', 'warn', 'error', 'silent'),
  }),
  format: setting({
    name: 'HUFU_LOG_FORMAT',
    default: 'auto',
    meaning: '`json`, `text` for people, or `auto`: text where standard output is a terminal.',
    parse: oneOf('auto', 'json', 'text'),
  }),
}
