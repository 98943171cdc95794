// Settings of accounts: how they start and end, and how long their events are stored.
import { days, oneOf, whole } from './parsers.ts'
import { setting } from './setting.ts'

export const accountSettings = {
  signUp: setting({
    name: 'HUFU_SIGN_UP',
    default: 'open',
    parse: oneOf('open', 'closed'),
  }),
  closingMs: setting({
    name: 'HUFU_CLOSING_DAYS',
    default: '15',
    parse: (text: string) => whole(0, 365)(text) * 86_400_000,
  }),
  eventsLifeMs: setting({
    name: 'HUFU_EVENTS_DAYS',
    default: '180',
    parse: days,
  }),
}
