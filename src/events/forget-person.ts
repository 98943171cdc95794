// Removes a person from the events of an account that is removed: numbers, addresses, details.
import type { Database } from '../database/schema.ts'
import { nextTurn, restSince } from '../database/turns.ts'
import {
  type Event,
  type EventPlace,
  type EventSubject,
  emptyEvents,
  listEvents,
  removeNumberFromEvents,
} from './event-rows.ts'
import type { EventKind } from './events.ts'

const batchSize = 50

export interface RemovedPerson {
  readonly accountId: string
  /** E.164; null: the account had no number. */
  readonly phoneNumber: string | null
  /** When the removal began. Every event of the account with personal data is committed before it. */
  readonly began: number
}

/**
 * Empties the events of the account, and the events of its numbers that belong to no account: of
 * `phoneNumber` up to the removal, and of each number that the account has moved away from up to that move.
 * Events of these numbers that belong to another account are not changed: that account had the number itself.
 * Only its failed attempts to move to the number lose it, where an earlier version has written it. Each
 * statement changes one batch; a second run continues where a first one was cut off.
 */
export async function forgetPerson(
  db: Database,
  { accountId, phoneNumber, began }: RemovedPerson,
): Promise<void> {
  const isOfPerson = (event: Event) => event.accountId === accountId || event.accountId === null
  const forgetNumber = async (number: string, until: number) => {
    const ofNumber = { column: 'phone_number', value: number } as const
    const from = { at: until + 1, id: '' }
    for await (const page of pagesOf(db, ofNumber, from)) {
      await emptyAll(db, page.filter(isOfPerson))
      const attempts = page.filter((event) => !isOfPerson(event) && isAttemptToMove(event))
      await removeNumberFromEvents(db, idsOf(attempts))
    }
  }
  const ofAccount = { column: 'account_id', value: accountId } as const
  for await (const page of pagesOf(db, ofAccount, null)) {
    // Before the event that names the number is emptied itself.
    for (const event of page) for (const number of formerNumbers(event)) await forgetNumber(number, event.at)
    await emptyAll(db, page)
  }
  if (phoneNumber !== null) await forgetNumber(phoneNumber, began)
}

async function* pagesOf(
  db: Database,
  subject: EventSubject,
  from: EventPlace | null,
): AsyncGenerator<Event[]> {
  for (let before = from; ; ) {
    await nextTurn()
    const began = performance.now()
    const page: Event[] = await listEvents(db, subject, before, batchSize)
    yield page
    before = page.at(-1) ?? null
    if (page.length < batchSize) return
    await restSince(began)
  }
}

async function emptyAll(db: Database, events: readonly Event[]): Promise<void> {
  // A client may choose the id of its request (X-Request-Id), and write a number into it.
  const full = events.filter((one) => (one.phoneNumber ?? one.ip ?? one.requestId ?? one.detail) !== null)
  await emptyEvents(db, idsOf(full))
}

function idsOf(events: readonly Event[]): string[] {
  return events.map(({ id }) => id)
}

const failed: EventKind = 'proof_failed'
const moved: EventKind = 'phone_changed'

/** Whether the event is a wrong code for a move to a number. */
function isAttemptToMove({ kind, detail }: Event): boolean {
  return kind === failed && detail?.proof === 'change_phone'
}

/** The number that an account moved away from with this event. */
function formerNumbers({ kind, detail }: Event): string[] {
  const from = kind === moved ? detail?.from : null
  return typeof from === 'string' ? [from] : []
}
