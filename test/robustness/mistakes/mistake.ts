// A mistake of a newcomer: how it is made for real, and what the person reads then.
import { type ProcessOptions, runCommand, type ServerProcess } from '../../support/app.ts'

export type Language = 'zh-CN' | 'en'

/** What the mistakes happen in. */
export interface ServeHooks {
  /** A folder of its own, where commands run: settings, `.env` and data are there. */
  readonly folder: string
  /**
   * A running server on the database of that folder, with an account: 13800005223, `correct horse battery`.
   */
  readonly server: ServerProcess
}

export interface Mistake {
  /** What the newcomer does. */
  readonly mistake: string
  /** Why it cannot be made here. */
  readonly skipped?: string | null
  /** Makes it. @returns what the person reads */
  readonly make: (surroundings: ServeHooks, language: Language) => Promise<string>
  /** The whole text; `…` stands for what differs each time. */
  readonly en: string
  readonly zh: string
  /** What was wrong: a value, a field, a setting. In both texts; null where it is a secret. */
  readonly wrong: string | null
  /**
   * What to do: a command, the name of a setting, an example. In both texts; or the words of each, where it
   * is none of these.
   */
  readonly instead: string | Readonly<Record<Language, string>>
}

/** Stands for every secret in the table: no text may show it. */
export const secret = 'hunter2'

const locales: Readonly<Record<Language, string>> = { 'zh-CN': 'zh_CN.UTF-8', en: 'en_US.UTF-8' }

export interface Call extends Pick<ProcessOptions, 'cwd'> {
  readonly environment?: Record<string, string>
  readonly stdin?: string
}

/** Runs a command as it is typed, and gives what it says on standard error, or else on standard output. */
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

/** Whether a text is this one, where `…` stands for anything. */
export function isText(text: string, expected: string): boolean {
  const parts = expected.split('…').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's').test(text)
}
