// Settings of the log.
import { oneOf } from './parsers.ts'
import { setting } from './setting.ts'

export const logSettings = {
  level: setting({
    name: 'HUFU_LOG_LEVEL',
    default: 'info',
    parse: oneOf('debug', 'info', 'warn', 'error', 'silent'),
  }),
  format: setting({
    name: 'HUFU_LOG_FORMAT',
    default: 'auto',
    parse: oneOf('auto', 'json', 'text'),
  }),
}
