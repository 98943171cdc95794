// Settings of sessions: how long they live, and how many an account may have.
import { days, minutes, oneOf, whole } from './parsers.ts'
import { SettingsError, setting, type ValuesOf } from './setting.ts'

export const sessionSettings = {
  lifeMs: setting({
    name: 'HUFU_SESSION_LIFE_DAYS',
    default: '30',
    meaning: 'Days that a session lives after its last use. `0`: for ever.',
    parse: days,
  }),
  maxLifeMs: setting({
    name: 'HUFU_SESSION_MAX_LIFE_DAYS',
    default: '0',
    meaning: 'Days that a session lives after its start, however much it is used. `0`: no such limit.',
    parse: days,
  }),
  scope: setting({
    name: 'HUFU_SESSION_SCOPE',
    default: 'platform',
    meaning:
      'Which sessions compete for room: those of the `account`, of one `platform`, or of one `device`.',
    parse: oneOf('account', 'platform', 'device'),
  }),
  max: setting({
    name: 'HUFU_SESSION_MAX',
    default: '1',
    meaning: 'How many live sessions have room in one scope. `0`: any number.',
    parse: whole(0, 1_000),
  }),
  whenFull: setting({
    name: 'HUFU_SESSION_WHEN_FULL',
    default: 'replace_oldest',
    meaning:
      'What a sign-in does when there is no room: `replace_oldest` ends the oldest session, `refuse` refuses the new one.',
    parse: oneOf('replace_oldest', 'refuse'),
  }),
  keepEndedMs: setting({
    name: 'HUFU_ENDED_SESSIONS_DAYS',
    default: '180',
    meaning:
      'Days that a session is kept after it ended or expired: its token is answered with the reason, then it is unknown. `0`: for ever.',
    parse: days,
  }),
  writeUsesEveryMs: setting({
    name: 'HUFU_SESSION_SEEN_MINUTES',
    default: '60',
    meaning:
      'Minutes after which the database gets the last use of a session again. Lists of sessions are exact to a minute with Redis or SQLite.',
    parse: minutes(1, 1_440),
  }),
}

/** @throws SettingsError where two of them contradict each other */
export function assertSessionSettings(settings: ValuesOf<typeof sessionSettings>): void {
  const { lifeMs, maxLifeMs, max, whenFull } = settings
  if (lifeMs !== null && maxLifeMs !== null && maxLifeMs < lifeMs) {
    throw new SettingsError(
      'HUFU_SESSION_MAX_LIFE_DAYS 不能小于 HUFU_SESSION_LIFE_DAYS。',
      'HUFU_SESSION_MAX_LIFE_DAYS must not be less than HUFU_SESSION_LIFE_DAYS.',
    )
  }
  if (max === 0 && whenFull === 'refuse') {
    throw new SettingsError(
      'HUFU_SESSION_WHEN_FULL 是“refuse”，但 HUFU_SESSION_MAX 是 0，永远不会满。',
      'HUFU_SESSION_WHEN_FULL is "refuse", but HUFU_SESSION_MAX is 0, which is never full.',
    )
  }
}
