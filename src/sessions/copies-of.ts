// Which copies a change touches, and what they say afterwards.
import type { AccountCopy, CopiesToWrite, CopyName, SessionCopy } from './copies.ts'
import type { LiveSession } from './session-rows.ts'

/** The names of an account's copy and of those of sessions. */
export function namesOf(accountId: string, sessions: readonly LiveSession[]): CopyName[] {
  return [`account:${accountId}`, ...sessions.map(({ session }): CopyName => `session:${session.id}`)]
}

/** Copies of an account and of sessions, of those that are there, under their names. */
export function copiesOf(
  account: AccountCopy | null,
  sessions: readonly (SessionCopy | null)[],
): CopiesToWrite {
  const copies = new Map<CopyName, SessionCopy | AccountCopy>()
  if (account) copies.set(`account:${account.id}`, account)
  for (const copy of sessions) {
    if (!copy) continue
    const { tokenHash, session, ending, rotation } = copy
    copies.set(`session:${session.id}`, { tokenHash, session, ending, rotation })
  }
  return copies
}
