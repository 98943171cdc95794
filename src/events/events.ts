// What happened to accounts, told in the same transaction as it happened: the audit.
import type { Database } from '../db/schema.ts'
import { newSessionId } from '../ids.ts'
import { insertEvents, listEvents } from './event-rows.ts'

/** docs/events.md lists exactly these. */
export const eventKinds = [
  'account_created',
  'account_updated',
  'account_banned',
  'account_unbanned',
  'account_closing',
  'account_reopened',
  'account_purged',
  'account_exported',
  'phone_verified',
  'phone_changed',
  'password_set',
  'signed_in',
  'sign_in_failed',
  'proof_failed',
  'session_ended',
  'code_sent',
  'code_not_sent',
] as const
export type EventKind = (typeof eventKinds)[number]

/** Where a request came from. Commands have neither. */
export interface Origin {
  readonly ip: string | null
  readonly requestId: string | null
}

export const noOrigin: Origin = { ip: null, requestId: null }

/** What an event tells. Never a secret: no code, password or token. */
export interface NewEvent {
  readonly kind: EventKind
  readonly accountId?: string | null
  readonly sessionId?: string | null
  /** E.164. */
  readonly phoneNumber?: string | null
  readonly detail?: Readonly<Record<string, string | number | boolean | null>>
}

export interface Event {
  readonly id: string
  /** Milliseconds since 1970 UTC. */
  readonly at: number
  readonly kind: string
  readonly accountId: string | null
  readonly sessionId: string | null
  readonly phoneNumber: string | null
  readonly ip: string | null
  readonly requestId: string | null
  readonly detail: Record<string, unknown> | null
}

/** Writes events as part of `tx`. */
export async function recordEvents(
  tx: Database,
  at: number,
  origin: Origin,
  events: readonly NewEvent[],
): Promise<void> {
  await insertEvents(
    tx,
    events.map((event) => ({
      id: newSessionId(at),
      at,
      kind: event.kind,
      account_id: event.accountId ?? null,
      session_id: event.sessionId ?? null,
      phone_number: event.phoneNumber ?? null,
      ip: origin.ip,
      request_id: origin.requestId,
      detail: event.detail ? JSON.stringify(event.detail) : null,
    })),
  )
}

/** Events of an account, or of a number where one is given, newest first, a page at a time. */
export async function* eventsOf(
  db: Database,
  about: { readonly accountId: string | null; readonly phoneNumber: string | null },
): AsyncGenerator<Event> {
  const pageSize = 500
  let before: { at: number; id: string } | null = null
  for (;;) {
    const rows = await listEvents(db, about, before, pageSize)
    for (const row of rows) {
      yield {
        id: row.id,
        at: row.at,
        kind: row.kind,
        accountId: row.account_id,
        sessionId: row.session_id,
        phoneNumber: row.phone_number,
        ip: row.ip,
        requestId: row.request_id,
        detail: row.detail === null ? null : JSON.parse(row.detail),
      }
    }
    const last = rows.at(-1)
    if (!last || rows.length < pageSize) return
    before = last
  }
}
