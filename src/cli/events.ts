// hufu events: what happened to an account and to its number.

import type { Event } from '../events/events.ts'
import { isoTime } from '../iso-time.ts'
import type { Context } from './context.ts'
import { exitCodes, localTime } from './output.ts'
import { withServices } from './with-services.ts'

/** `events <phone>`: newest first, also for a number without an account. */
export async function listEvents(context: Context, phone: string): Promise<number> {
  const { output } = context
  await withServices(context, async ({ accounts }) => {
    const account = await accounts.find(phone)
    const phoneNumber = accounts.numberOf(phone, account)
    let count = 0
    for await (const event of accounts.listEvents({ id: account?.id ?? null, phoneNumber })) {
      count++
      output.line(eventLine(event))
      output.value(describeEvent(event))
      await output.drained()
    }
    if (count === 0) output.line(output.say('没有事件。', 'No event.'))
  })
  return exitCodes.done
}

export function eventLine({ at, kind, sessionId, ip, detail }: Event): string {
  const shown = Object.entries(detail ?? {}).filter(([, value]) => value !== null)
  const details = shown.map(([name, value]) => `${name}=${value}`).join(' ')
  return `${localTime(at)}  ${kind.padEnd(16)}  ${(ip ?? '-').padEnd(15)}  ${sessionId ?? '-'}  ${details}`
}

export function describeEvent(event: Event) {
  return {
    id: event.id,
    at: isoTime(event.at),
    kind: event.kind,
    account_id: event.accountId,
    session_id: event.sessionId,
    phone_number: event.phoneNumber,
    ip: event.ip,
    request_id: event.requestId,
    detail: event.detail,
  }
}
