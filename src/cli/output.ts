// The output of commands: text in a person's language, JSON for programs, and exit codes for scripts.
import { styleText } from 'node:util'
import { asUnavailable, isReadOnly, isReadOnlyServer, isUnusableFile } from '../database/failures.ts'
import { refusalOf } from '../database/refused.ts'
import { UnusableDatabaseError } from '../database/unusable.ts'
import { AppError } from '../errors.ts'
import { type Hide, hideIn, hideNothing } from '../secrets.ts'
import { SettingsError } from '../settings/setting.ts'
import type { Settings } from '../settings/settings.ts'
import { refusalWords } from './refusal-words.ts'

/** The meaning of each exit code; docs/command-line.md lists exactly these. */
export const exitCodes = {
  done: 0,
  /** The answer is no: not found, already taken, not acceptable, or a check of `doctor` failed. */
  refused: 1,
  /** Wrong arguments or settings. */
  usage: 2,
  /** A store or a gateway does not answer; the same command may work later. */
  unavailable: 3,
  /** A bug in the program. */
  internal: 70,
} as const

/** A command that was called the wrong way. */
export class UsageError extends Error {}

type Style = Parameters<typeof styleText>[0]

/** The output of one command. */
export class Output {
  readonly json: boolean
  /** Removes known secrets from texts of other sources, such as a driver's error message. */
  readonly hide: Hide
  readonly #chinese: boolean

  constructor(options: { json: boolean; chinese: boolean; hide?: Hide }) {
    this.json = options.json
    this.hide = options.hide ?? hideNothing
    this.#chinese = options.chinese
  }

  /** The text of the language that the terminal is set to. */
  say(zh: string, en: string): string {
    return this.#chinese ? zh : en
  }

  /** A line for people; prints nothing where JSON was requested. */
  line(text = ''): void {
    if (!this.json) process.stdout.write(`${text}\n`)
  }

  /** A value for programs, one line each; prints nothing where JSON was not requested. */
  value(value: unknown): void {
    if (this.json) process.stdout.write(`${JSON.stringify(value)}\n`)
  }

  /** Waits until a slow reader has taken what was written, so that a long list does not pile up in memory. */
  async drained(): Promise<void> {
    if (process.stdout.writableNeedDrain)
      await new Promise((resolve) => process.stdout.once('drain', resolve))
  }

  /** In colour where standard output is a terminal. */
  style(style: Style, text: string): string {
    return styleText(style, text, { stream: process.stdout })
  }

  /**
   * Prints what went wrong and what to do, on standard error, and returns the exit code.
   * @param subject the phone number or id that the command was given
   */
  failure(thrown: unknown, subject = ''): number {
    const error = asUnavailable(thrown)
    const cause = error instanceof AppError ? error.cause : error
    if (cause instanceof Error && isUnusableFile(cause)) return this.#unusableFile(cause)
    const refusal = refusalOf(thrown)
    if (refusal)
      return this.fail(
        exitCodes.usage,
        'usage',
        this.say(`${refusal.zh}（${refusal.why}）。`, `${refusal.en} (${refusal.why}).`),
      )
    if (cause instanceof Error && (isReadOnly(cause) || isReadOnlyServer(cause))) return this.#readOnly(cause)
    if (error instanceof SettingsError)
      return this.fail(exitCodes.usage, 'usage', this.say(error.zh, error.message))
    if (error instanceof UnusableDatabaseError)
      return this.fail(exitCodes.refused, 'database_unusable', this.say(error.zh, error.message))
    if (error instanceof UsageError) return this.fail(exitCodes.usage, 'usage', error.message)
    return error instanceof AppError ? this.#refusal(error, subject) : this.#internal(error)
  }

  #internal(error: unknown): number {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return this.fail(exitCodes.internal, 'internal', text)
  }

  #refusal(error: AppError, subject: string): number {
    const code =
      error.code === 'unavailable' || error.code === 'overloaded' ? exitCodes.unavailable : exitCodes.refused
    const words = refusalWords(error, subject)
    const { rule } = error.facts
    return this.fail(code, error.code, this.say(words.zh, words.en), rule === undefined ? {} : { rule })
  }

  #unusableFile(error: Error): number {
    const example = 'sqlite:/var/lib/hufu/hufu.db'
    // SQLITE_NOTADB: a change of permissions does not help.
    const isOther = 'errcode' in error && error.errcode === 26
    const zh = isOther ? '请指定' : '请让运行 Hufu 的用户有权写入它和它所在的文件夹，或指定'
    const en = isOther
      ? 'Name'
      : 'Give the user that runs Hufu write permission on it and its folder, or name'
    const text = this.say(
      `HUFU_DATABASE_URL 指定的文件无法使用：${error.message}。${zh}另一个文件，例如 ${example}。`,
      `HUFU_DATABASE_URL names a file that cannot be used: ${error.message}. ${en} another file, for example ${example}.`,
    )
    return this.fail(exitCodes.usage, 'usage', text)
  }

  #readOnly({ message }: Error): number {
    const text = this.say(
      `数据库是只读的，无法写入；请检查 HUFU_DATABASE_URL 和权限（${message}）`,
      `The database is read-only, and Hufu has to write: see HUFU_DATABASE_URL and its permissions (${message})`,
    )
    return this.fail(exitCodes.unavailable, 'unavailable', text)
  }

  /**
   * Prints on standard error that the command failed, for programs with these facts, and returns the exit
   * code.
   */
  fail(exitCode: number, code: string, text: string, facts: Readonly<Record<string, unknown>> = {}): number {
    const value = hideIn({ error: code, message: text, ...facts }, this.hide)
    process.stderr.write(this.json ? `${JSON.stringify(value)}\n` : `${this.hide(text)}\n`)
    return exitCode
  }
}

/**
 * When the reader of standard output exits (`| head`), the command ends without an error; a closed standard
 * error is ignored.
 */
export function endWithReader(): void {
  // Without a listener, Node treats a full disk, or a pipe without a reader, as an uncaught error.
  process.stderr.on('error', () => {})
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCodes.done)
    throw error
  })
}

/** Milliseconds since 1970 as local time to the second, for people. */
export function localTime(ms: number | null): string {
  if (ms === null) return '-'
  const time = new Date(ms)
  return new Date(ms - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19).replace('T', ' ')
}

/** The warning at a start or a check when the test numbers have expired; null when they have not. */
export function testNumbersOverWarning(
  { codes: { testNumbers, testNumbersUntil } }: Settings,
  output: Output,
): string | null {
  if (testNumbers.size === 0 || testNumbersUntil === null || testNumbersUntil > Date.now()) return null
  return output.say(
    'HUFU_TEST_NUMBERS_UNTIL 已过：测试号码不再有固定验证码',
    'HUFU_TEST_NUMBERS_UNTIL is past: the test numbers have no fixed code any more',
  )
}

/** The warning at a start or a check of a server without limits. */
export function limitsOffWarning(output: Output): string {
  return output.say(
    'HUFU_LIMITS=off：猜测密码和验证码的次数不受限制；只用于测试',
    'HUFU_LIMITS=off: guesses of passwords and codes are not limited; use it for tests only',
  )
}
