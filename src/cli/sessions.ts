// hufu sessions: list, end. end-of-all-accounts.ts ends the sessions of all accounts.
import { AppError } from '../errors.ts'
import { isoTime } from '../iso-time.ts'
import { flatSession } from '../sessions/flat-session.ts'
import type { Session } from '../sessions/session.ts'
import type { Context } from './context.ts'
import { endSessionsOfAllAccounts } from './end-of-all-accounts.ts'
import { parseGivenTime } from './given-time.ts'
import { exitCodes, localTime, type Output, UsageError } from './output.ts'
import { withServices } from './with-services.ts'

/** `sessions list <phone>` */
export async function listSessions(context: Context, phone: string): Promise<number> {
  const { output } = context
  await withServices(context, async ({ accounts, sessions }) => {
    let count = 0
    for await (const session of sessions.listAll((await accounts.get(phone)).id)) {
      output.line(sessionLine(session))
      output.value(describeSession(session))
      await output.drained()
      count++
    }
    if (count === 0) output.line(output.say('没有有效的会话。', 'No live session.'))
  })
  return exitCodes.done
}

interface EndOptions {
  readonly all?: boolean
  readonly before?: string
  readonly yes?: boolean
}

/** `sessions end <id>`, `sessions end --all <phone>`, or `sessions end --all` */
export async function endSessions(
  context: Context,
  idOrPhone: string | undefined,
  { all = false, before, yes = false }: EndOptions,
): Promise<number> {
  const { output } = context
  if (before !== undefined && !all)
    throw new UsageError(
      output.say('--before 只能与 --all 一起使用。', 'Use --before together with --all only.'),
    )
  const startedBefore = before === undefined ? null : parseBefore(before, output)
  if (idOrPhone === undefined) {
    if (all) return await endSessionsOfAllAccounts(context, { startedBefore, yes })
    throw new UsageError(
      output.say(
        '缺少会话 id；结束一个账号的全部会话：sessions end --all <手机号>',
        'The id of a session is missing; to end all sessions of an account: sessions end --all <phone>',
      ),
    )
  }
  return all
    ? await endSessionsOfAccount(context, idOrPhone, startedBefore)
    : await endSession(context, idOrPhone)
}

/** A day (its start) or a time that is past. @throws UsageError */
function parseBefore(text: string, output: Output): number {
  const at = parseGivenTime(text, 'start')
  if (at === null || at > Date.now())
    throw new UsageError(
      output.say(
        `--before 必须是过去的日期或时间，例如 2026-11-22 或 2026-11-22T12:00:00+08:00（现在是“${text}”）。`,
        `--before must be a day or a moment that is past, for example 2026-11-22 or 2026-11-22T12:00:00+08:00 (it is "${text}").`,
      ),
    )
  return at
}

async function endSession(context: Context, id: string): Promise<number> {
  const { output } = context
  return await withServices(context, async ({ sessions }) => {
    const accountId = await sessions.findOwner(id)
    if (accountId === null) throw new AppError('session_not_found')
    const wasLive = await sessions.end({ id, accountId, reason: 'kicked', by: null })
    output.value({ id, ended: wasLive })
    output.line(
      wasLive
        ? output.say('已结束，所有服务器立即生效。', 'Ended, on every server.')
        : output.say('这个会话此前已结束。', 'This session had already ended.'),
    )
    return exitCodes.done
  })
}

async function endSessionsOfAccount(
  context: Context,
  phone: string,
  startedBefore: number | null,
): Promise<number> {
  const { output } = context
  return await withServices(context, async ({ accounts, sessions }) => {
    const { id: accountId } = await accounts.get(phone)
    const end = { accountId, reason: 'kicked', by: null } as const
    const count =
      startedBefore === null
        ? await sessions.endAll({ ...end, except: null })
        : await sessions.endLive({ ...end, startedBefore })
    output.value({ account_id: accountId, ended: count })
    output.line(
      output.say(`已结束 ${count} 个会话，所有服务器立即生效。`, `Ended ${count}, on every server.`),
    )
    return exitCodes.done
  })
}

/** A session for programs. */
export function describeSession(session: Session) {
  return { ...flatSession(session), expires_at: isoTime(session.expiresAt) }
}

/** A session as one line for people. */
export function sessionLine({ id, platform, ip, createdAt, expiresAt, deviceName }: Session): string {
  return `${id}  ${platform.padEnd(12)}  ${localTime(createdAt)}  → ${localTime(expiresAt)}  ${(ip ?? '-').padEnd(15)}  ${deviceName ?? '-'}`
}
