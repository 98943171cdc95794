// Settings of sessions: how long they live, and how many an account may have.
import { days, minutes, oneOf, whole } from './parsers.ts'
import { SettingsError, setting, type ValuesOf } from './setting.ts'

export const sessionSettings = {
  lifeMs: setting({
    name: 'HUFU_SESSION_LIFE_DAYS',
    default: '30',
    parse: days,
  }),
  maxLifeMs: setting({
    name: 'HUFU_SESSION_MAX_LIFE_DAYS',
    default: '0',
    parse: days,
  }),
  scope: setting({
    name: 'HUFU_SESSION_SCOPE',
    default: 'platform',
    parse: oneOf('account', 'platform', 'device'),
  }),
  max: setting({
    name: 'HUFU_SESSION_MAX',
    default: '1',
    parse: whole(0, 1_000),
  }),
  whenFull: setting({
    name: 'HUFU_SESSION_WHEN_FULL',
    default: 'replace_oldest',
    parse: oneOf('replace_oldest', 'refuse'),
  }),
  keepEndedMs: setting({
    name: 'HUFU_ENDED_SESSIONS_DAYS',
    default: '180',
    parse: days,
  }),
  writeUsesEveryMs: setting({
    name: 'HUFU_SESSION_SEEN_MINUTES',
    default: '60',
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
