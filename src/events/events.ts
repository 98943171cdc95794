// The audit log: events of accounts, written in the same transaction as the change itself.
import type { Database } from '../database/schema.ts'
import { nextTurn } from '../database/turns.ts'
import { newCompactId } from '../ids.ts'
import {
  type Event,
  type EventSubject,
  insertEvents,
  insertEventsOfSessions,
  listEvents,
} from './event-rows.ts'

export type { Event } from './event-rows.ts'

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
  'sign_in_repeated',
  'sign_in_failed',
  'proof_failed',
  'session_ended',
  'code_sent',
  'code_not_sent',
  'key_created',
  'key_rotated',
  'key_revoked',
  'key_used_from_network',
] as const
export type EventKind = (typeof eventKinds)[number]

/** The origin of a request; commands have neither member. */
export interface RequestOrigin {
  readonly ip: string | null
  readonly requestId: string | null
}

export const noOrigin: RequestOrigin = { ip: null, requestId: null }

/** An event to record. It never contains a secret: no code, password or token. */
export interface NewEvent {
  readonly kind: EventKind
  readonly accountId?: string | null
  readonly sessionId?: string | null
  /** The service key that the event is about; such an event is about no account. */
  readonly keyId?: string
  /** E.164. */
  readonly phoneNumber?: string | null
  readonly detail?: Readonly<Record<string, string | number | boolean | null>>
}

/** The event with nothing that identifies a person. */
export function withoutPerson({ phoneNumber, detail, ...event }: NewEvent): NewEvent {
  return event
}

/** Writes events as part of `tx`. */
export async function recordEvents(
  tx: Database,
  at: number,
  origin: RequestOrigin,
  events: readonly NewEvent[],
): Promise<void> {
  await insertEvents(
    tx,
    events.map((event) => ({
      id: newCompactId(at),
      at,
      kind: event.kind,
      accountId: event.keyId ?? event.accountId ?? null,
      sessionId: event.sessionId ?? null,
      phoneNumber: event.phoneNumber ?? null,
      ip: origin.ip,
      requestId: origin.requestId,
      detail: event.detail ?? null,
    })),
  )
}

/** Records the ends of any number of sessions, as part of `tx`. */
export async function recordEnds(
  tx: Database,
  at: number,
  origin: RequestOrigin,
  { ids, detail }: { readonly ids: readonly string[]; readonly detail: NonNullable<NewEvent['detail']> },
): Promise<void> {
  await insertEventsOfSessions(tx, ids, {
    at,
    kind: 'session_ended' satisfies EventKind,
    ip: origin.ip,
    requestId: origin.requestId,
    detail,
  })
}

/** The subject of the events: an account, a number, or both; null: neither. */
export interface EventsAbout {
  readonly accountId: string | null
  /** E.164. */
  readonly phoneNumber: string | null
}

/** Events of a service key, newest first: they have its id in the place of the account's. */
export function listEventsOfKey(db: Database, keyId: string): AsyncGenerator<Event> {
  return listEventsOf(db, { accountId: keyId, phoneNumber: null })
}

/** Events of an account and of a number, each once, newest first, read a page at a time (turns.ts). */
export async function* listEventsOf(db: Database, about: EventsAbout): AsyncGenerator<Event> {
  const sources: EventSource[] = []
  if (about.accountId !== null)
    sources.push(new EventSource(db, { column: 'account_id', value: about.accountId }))
  if (about.phoneNumber !== null)
    sources.push(new EventSource(db, { column: 'phone_number', value: about.phoneNumber }))
  for (;;) {
    for (const source of sources) if (source.needsPage()) await source.readPage()
    const newest = sources.reduce<Event | null>((found, { first }) => newerOf(found, first), null)
    if (!newest) return
    for (const source of sources) if (source.first?.id === newest.id) source.takeFirst()
    yield newest
  }
}

const pageSize = 200

/** The events of one subject, newest first; a page of them is in memory. */
class EventSource {
  readonly #db: Database
  readonly #subject: EventSubject
  #page: readonly Event[] = []
  #taken = 0
  #isLastPage = false

  constructor(db: Database, subject: EventSubject) {
    this.#db = db
    this.#subject = subject
  }

  /** The next event; null: there is none, or the next page must be read first. */
  get first(): Event | null {
    return this.#page[this.#taken] ?? null
  }

  takeFirst(): void {
    this.#taken++
  }

  needsPage(): boolean {
    return this.first === null && !this.#isLastPage
  }

  async readPage(): Promise<void> {
    const last = this.#page.at(-1) ?? null
    await nextTurn()
    this.#page = await listEvents(this.#db, this.#subject, last, pageSize)
    this.#taken = 0
    this.#isLastPage = this.#page.length < pageSize
  }
}

/** Ids are ASCII, so JavaScript compares them as the databases do: by bytes. */
function newerOf(a: Event | null, b: Event | null): Event | null {
  if (a === null || b === null) return a ?? b
  return b.at > a.at || (b.at === a.at && b.id > a.id) ? b : a
}
