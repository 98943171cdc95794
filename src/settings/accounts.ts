// Settings of accounts: how they start and end, and how long their events are stored.
import { days, oneOf, whole } from './parsers.ts'
import { setting } from './setting.ts'

export const accountSettings = {
  signUp: setting({
    name: 'HUFU_SIGN_UP',
    default: 'open',
    meaning:
      '`open`: a code for a number without an account makes one. `closed`: only the command line makes accounts.',
    parse: oneOf('open', 'closed'),
  }),
  closingMs: setting({
    name: 'HUFU_CLOSING_DAYS',
    default: '15',
    meaning:
      'Days between the request to close an account and its removal; signing in cancels the request. `0`: at once.',
    parse: (text: string) => whole(0, 365)(text) * 86_400_000,
  }),
  eventsLifeMs: setting({
    name: 'HUFU_EVENTS_DAYS',
    default: '180',
    meaning: 'Days that events (sign-ins, failures, changes, bans) are kept. `0`: for ever.',
    parse: days,
  }),
}
