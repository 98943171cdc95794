// hufu sessions end --all: ends the sessions of all accounts, reports progress and failures on standard
// error.
import { confirm } from '@clack/prompts'
import type { Services } from '../app.ts'
import { asUnavailable } from '../database/failures.ts'
import { AppError } from '../errors.ts'
import { EndOfAllAccounts } from '../sessions/end-of-all-accounts.ts'
import type { Context } from './context.ts'
import { exitCodes, type Output, UsageError } from './output.ts'
import { withServices } from './with-services.ts'

/** The number of transactions at once on a database server. A server uses ten connections by default. */
const transactionsAtOnce = 4
const reportEveryMs = 5_000

interface EndOfAllOptions {
  /** Sessions that began at this time or later stay; null: none. */
  readonly startedBefore: number | null
  /** Do not ask. */
  readonly yes: boolean
}

/** `sessions end --all` without a phone number */
export async function endSessionsOfAllAccounts(
  context: Context,
  { startedBefore, yes }: EndOfAllOptions,
): Promise<number> {
  if (!yes) await assertConfirmed(context.output)
  return await withServices(context, (services) => endAll(context, services, startedBefore))
}

/** @throws UsageError where the operator does not confirm, or cannot be asked */
async function assertConfirmed(output: Output): Promise<void> {
  // A script may have meant one account: its variable with the phone number was empty.
  if (!process.stdin.isTTY || output.json)
    throw new UsageError(
      output.say(
        '没有手机号：将结束所有账号的会话。如果确实如此，请加 --yes。',
        'Without a phone number the sessions of all accounts end. If that is what you want, add --yes.',
      ),
    )
  const message = output.say(
    '结束所有账号的会话？用户都必须重新登录。',
    'End the sessions of all accounts? All users will have to sign in again.',
  )
  if ((await confirm({ message, initialValue: false })) !== true)
    throw new UsageError(output.say('已取消。', 'Cancelled.'))
}

async function endAll(
  { output, settings: { database } }: Context,
  { db, sessions }: Pick<Services, 'db' | 'sessions'>,
  startedBefore: number | null,
): Promise<number> {
  const ending = new EndOfAllAccounts({
    db,
    sessions,
    startedBefore,
    // SQLite has one writer.
    parallel: database.location.kind === 'sqlite' ? 1 : Math.min(transactionsAtOnce, database.pool),
    onFailure: (accountId, error) => tell(output, failureText(output, accountId, error)),
  })
  const reporting = setInterval(() => tell(output, progressText(output, ending)), reportEveryMs)
  try {
    const failed = await ending.run()
    const { accounts, sessions: ended } = ending.ended
    output.value({ accounts, ended, failed: failed.size })
    output.line(
      output.say(
        `已结束 ${accounts} 个账号的 ${ended} 个会话，所有服务器立即生效。`,
        `Ended ${ended} sessions of ${accounts} accounts, on every server.`,
      ),
    )
    return failed.size === 0 ? exitCodes.done : reportFailed(output, failed)
  } catch (error) {
    tell(output, progressText(output, ending))
    throw error
  } finally {
    clearInterval(reporting)
  }
}

function reportFailed(output: Output, failed: ReadonlyMap<string, unknown>): number {
  const codes = [...failed].map(([accountId, error]) => {
    const isAway = isUnavailable(error)
    const exitCode = isAway ? exitCodes.unavailable : exitCodes.internal
    const text = output.say(
      `账号 ${accountId} 的会话没有结束（${reasonOf(error)}）；请再次执行同一命令`,
      `The sessions of account ${accountId} have not ended (${reasonOf(error)}); run the same command again`,
    )
    return output.fail(exitCode, isAway ? 'unavailable' : 'internal', text, { account_id: accountId })
  })
  return Math.max(...codes)
}

function isUnavailable(error: unknown): boolean {
  const known = asUnavailable(error)
  return known instanceof AppError && known.code === 'unavailable'
}

function reasonOf(error: unknown): string {
  const cause = error instanceof AppError ? (error.cause ?? error) : error
  return cause instanceof Error ? cause.message : String(cause)
}

function failureText(output: Output, accountId: string, error: unknown): string {
  const reason = reasonOf(error)
  return output.say(
    `账号 ${accountId}：${reason}；最后会再试`,
    `account ${accountId}: ${reason}; it is tried again at the end`,
  )
}

function progressText(output: Output, { ended: { accounts, sessions } }: EndOfAllAccounts): string {
  return output.say(
    `已结束 ${accounts} 个账号的 ${sessions} 个会话`,
    `${sessions} sessions of ${accounts} accounts have ended`,
  )
}

function tell(output: Output, text: string): void {
  process.stderr.write(`${output.hide(text)}\n`)
}
