// A mistake of a new user: how it is made, and the message.
import { type ProcessOptions, runCommand, type ServerProcess } from '../../support/app.ts'

export type Language = 'zh-CN' | 'en'

/** The environment of the mistakes. */
export interface ServeHooks {
  /** The folder in which commands run, with settings, `.env` and data. */
  readonly folder: string
  /**
   * A running server on the database of that folder, with an account: 13800005223, `correct horse battery`.
   */
  readonly server: ServerProcess
}

export interface Mistake {
  /** The action of the user. */
  readonly mistake: string
  /** Why it cannot be made here. */
  readonly skipped?: string | null
  /** Makes the mistake. @returns the message */
  readonly make: (surroundings: ServeHooks, language: Language) => Promise<string>
  /** The whole text; `…` matches the parts that differ each time. */
  readonly en: string
  readonly zh: string
  /** The wrong value, field or setting, which both texts contain; null where it is a secret. */
  readonly wrong: string | null
  /**
   * The advice: a command, the name of a setting, an example, which both texts contain; or the words of each,
   * where it is none of these.
   */
  readonly instead: string | Readonly<Record<Language, string>>
}

/** The value of every secret in the table: no text may contain it. */
export const secret = 'hunter2'

const locales: Readonly<Record<Language, string>> = { 'zh-CN': 'zh_CN.UTF-8', en: 'en_US.UTF-8' }

export interface Call extends Pick<ProcessOptions, 'cwd'> {
  readonly environment?: Record<string, string>
  readonly stdin?: string
}

/** Runs a command as it is typed, and returns its standard error, or else its standard output. */
export function command(args: readonly string[], { environment, stdin, cwd }: Call = {}): Mistake['make'] {
  return async ({ folder }, language) => {
    const result = await runCommand(
      args,
      { LANG: locales[language], ...environment },
      { cwd: cwd ?? folder, ...(stdin !== undefined && { stdin }) },
    )
    return (result.stderr || result.stdout).trim()
  }
}

/** Whether a text matches, where `…` matches anything. */
export function isText(text: string, expected: string): boolean {
  const parts = expected.split('…').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's').test(text)
}
