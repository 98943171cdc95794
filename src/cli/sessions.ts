// hufu sessions: list, end.
import { AppError } from '../errors.ts'
import { isoTime } from '../iso-time.ts'
import { flatSession } from '../sessions/flat-session.ts'
import type { Session } from '../sessions/session.ts'
import type { Context } from './context.ts'
import { exitCodes, localTime } from './output.ts'
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

/** `sessions end <id>`, or `sessions end --all <phone>` */
export async function endSession(
  context: Context,
  idOrPhone: string,
  { all = false }: { all?: boolean },
): Promise<number> {
  const { output } = context
  return await withServices(context, async ({ accounts, sessions }) => {
    if (all) {
      const { id: accountId } = await accounts.get(idOrPhone)
      const count = await sessions.endAll({ accountId, reason: 'kicked', by: null, except: null })
      output.value({ account_id: accountId, ended: count })
      output.line(
        output.say(`已结束 ${count} 个会话，所有服务器立即生效。`, `Ended ${count}, on every server.`),
      )
      return exitCodes.done
    }
    const accountId = await sessions.findOwner(idOrPhone)
    if (accountId === null) throw new AppError('session_not_found')
    const wasLive = await sessions.end({ id: idOrPhone, accountId, reason: 'kicked', by: null })
    output.value({ id: idOrPhone, ended: wasLive })
    output.line(
      wasLive
        ? output.say('已结束，所有服务器立即生效。', 'Ended, on every server.')
        : output.say('这个会话此前已结束。', 'This session was over already.'),
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
