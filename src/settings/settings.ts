// The settings of a run: each is parsed by its row of the table, and none contradicts another.
import { assertCodeSettings } from './codes.ts'
import { assertNamesKnown, type Environment, textOf } from './environment.ts'
import { assertSessionSettings } from './sessions.ts'
import {
  isSetting,
  type Setting,
  type SettingGroup,
  SettingsError,
  type ValuesOf,
  WrongValue,
} from './setting.ts'
import { assertSmsSettings } from './sms.ts'
import { settingsTable } from './table.ts'

/** Every setting of a run, by group. */
export interface Settings extends ValuesOf<typeof settingsTable> {}

/**
 * The settings of an environment.
 * @throws SettingsError that names the first setting that is wrong, unknown or contradicts another
 */
export function readSettings(environment: Environment): Settings {
  assertNamesKnown(environment)
  const settings = valuesOf(settingsTable, environment)
  assertSessionSettings(settings.sessions)
  assertCodeSettings(settings.codes)
  assertWorkers(settings)
  assertSmsSettings(settings.sms)
  return settings
}

function valuesOf<Group extends SettingGroup>(group: Group, environment: Environment): ValuesOf<Group> {
  const entries = Object.entries(group).map(([key, inner]) => [
    key,
    isSetting(inner) ? valueOfRow(inner, environment) : valuesOf(inner, environment),
  ])
  // Each key of the group has been parsed by its own row.
  return Object.fromEntries(entries) as ValuesOf<Group>
}

function valueOfRow(row: Setting<unknown>, environment: Environment): unknown {
  const text = textOf(row, environment)
  try {
    return row.parse(text)
  } catch (error) {
    if (!(error instanceof WrongValue)) throw error
    const isShown = !row.secret
    const [zh, en] =
      text === '' ? ['（它是空的）', ' (it is empty)'] : [`（收到的是“${text}”）`, ` (it is "${text}")`]
    throw new SettingsError(
      `${row.name} ${error.zh}${isShown ? zh : ''}。`,
      `${row.name} ${error.message}${isShown ? en : ''}.`,
    )
  }
}

function assertWorkers({ server, database, redis, limits }: Settings): void {
  const isAlone = database.location.kind === 'sqlite' && redis.url === null
  if (server.workers > 1 && isAlone && limits.enforcement === 'on') {
    throw new SettingsError(
      `HUFU_WORKERS 是 ${server.workers}，但在 SQLite 上没有 HUFU_REDIS_URL 时，限流次数分别记在各个进程里：请设置 HUFU_REDIS_URL，或改用 MySQL、MariaDB 或 PostgreSQL。`,
      `HUFU_WORKERS is ${server.workers}, but on SQLite without HUFU_REDIS_URL each process counts sign-ins for itself: set HUFU_REDIS_URL, or use MySQL, MariaDB or PostgreSQL.`,
    )
  }
}
