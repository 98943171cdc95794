// The environment, .env and the files of secrets: the only reader of the process's environment.
import { readFileSync } from 'node:fs'
import { nearestWord } from '../nearest-word.ts'
import { secretPartsOf } from '../secrets.ts'
import { meantName, parseEnvFile } from './env-file.ts'
import { withoutServiceLinks } from './service-links.ts'
import { type Setting, SettingsError } from './setting.ts'
import { settingRows } from './table.ts'

export type Environment = Readonly<Record<string, string | undefined>>

const knownNames = () =>
  settingRows.flatMap((row) => (row.secret ? [row.name, `${row.name}_FILE`] : [row.name]))

/** The process's environment, which overrides the `.env` file of the folder where the program was started. */
export function readEnvironment(): Environment {
  return { ...readEnvFile('.env'), ...withoutServiceLinks(process.env) }
}

/**
 * The environment for the language of messages and for the secrets to hide: a `.env` that cannot be read is
 * left out.
 */
export function readEnvironmentOfMessages(): Environment {
  try {
    return readEnvironment()
  } catch {
    return withoutServiceLinks(process.env)
  }
}

function readEnvFile(path: string): Environment {
  try {
    return parseEnvFile(path, readFileSync(path), knownNames())
  } catch (error) {
    if (error instanceof SettingsError) throw error
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    const why = error instanceof Error ? error.message : error
    throw new SettingsError(`无法读取文件 ${path}：${why}。`, `The file ${path} cannot be read: ${why}.`)
  }
}

/** The files that secrets are read from: `.env`, if there is one, and those of `<name>_FILE`. */
export function filesWithSecrets(environment: Environment): string[] {
  const secrets = settingRows.filter((row) => row.secret)
  const files = secrets.map(({ name }) => environment[`${name}_FILE`] ?? '').filter((path) => path !== '')
  const inEnvFile = readEnvFile('.env')
  return secrets.some(({ name }) => inEnvFile[name]) ? ['.env', ...files] : files
}

/** Every secret text that must not be printed, also of a setting that is wrong. */
export function secretTexts(environment: Environment): string[] {
  return settingRows.flatMap((description) => {
    if (!description.secret) return []
    try {
      return secretPartsOf(textOf(description, environment))
    } catch {
      // A file that cannot be read holds no text that could be printed.
      return []
    }
  })
}

/**
 * The text of a setting, trimmed: from its variable, from the file that `<name>_FILE` names, or its default.
 * @throws SettingsError where both are set, or the file cannot be read
 */
export function textOf(description: Setting<unknown>, environment: Environment): string {
  const { name } = description
  const value = environment[name]
  const file = environment[`${name}_FILE`]
  if (file === undefined || file === '') return value === undefined ? description.default : value.trim()
  if (!description.secret)
    throw new SettingsError(
      `没有 ${name}_FILE 这个设置：只有敏感设置可以从文件读取；请设置 ${name}。`,
      `${name}_FILE is not known: only secrets are read from files; set ${name}.`,
    )
  if (value !== undefined)
    throw new SettingsError(
      `${name} 和 ${name}_FILE 不能同时设置：请只保留其中一个。`,
      `${name} and ${name}_FILE contradict each other: set one of them.`,
    )
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    const why = error instanceof Error ? error.message : error
    throw new SettingsError(
      `${name}_FILE 指定的文件无法读取：${why}。`,
      `${name}_FILE names a file that cannot be read: ${why}.`,
    )
  }
}

/** `HUFU_DATABASE_URL` for `HUFU_DB_URL`. */
function inFull(name: string, known: ReadonlySet<string>): string | undefined {
  const full = name.replace(/_DB(?=_|$)/, '_DATABASE')
  return known.has(full) ? full : undefined
}

/** @throws SettingsError that names the first variable that begins or looks like a setting but is none */
export function assertNamesKnown(environment: Environment): void {
  const known = new Set(settingRows.flatMap(({ name }) => [name, `${name}_FILE`]))
  for (const name of Object.keys(environment)) {
    const meant = meantName(name, [...known])
    if (meant !== null)
      throw new SettingsError(
        `${name} 不是设置，应写作 ${meant}。`,
        `${name} is not a setting of Hufu: write ${meant}.`,
      )
    if (name.startsWith('HUFU_') && !known.has(name)) {
      const near = nearestWord(name, [...known]) ?? inFull(name, known)
      throw new SettingsError(
        `Hufu 没有 ${name} 这个设置${near ? `，是否应为 ${near}？` : '；'}全部设置见 docs/settings.zh-CN.md。`,
        `${name} is not a setting of Hufu${near ? `; is ${near} meant? All settings:` : '; all settings:'} docs/settings.md.`,
      )
    }
  }
}
