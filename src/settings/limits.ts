// Settings of limits; docs/limits.md has the limits themselves.
import { oneOf, whole } from './parsers.ts'
import { setting } from './setting.ts'

export const limitSettings = {
  enforcement: setting({
    name: 'HUFU_LIMITS',
    default: 'on',
    meaning: 'Whether docs/limits.md holds. `off` is only for tests and measurements: anybody may guess.',
    parse: oneOf('on', 'off'),
  }),
  smsDailyBudget: setting({
    name: 'HUFU_SMS_DAILY_BUDGET',
    default: '10000',
    meaning: 'Text messages that the whole installation may send in any 24 hours.',
    parse: whole(0, 100_000_000),
  }),
}
