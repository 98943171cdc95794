// Audits the stores after a scenario: they contradict neither themselves nor the client's history.
import { sql } from 'kysely'
import { databaseKind } from '../../src/database/open.ts'
import type { Client } from './client.ts'
import type { Deployment } from './deployment.ts'
import type { Operation } from './history.ts'
import { type Loss, lossOf } from './losses.ts'

/** Returns each contradiction as a sentence. */
export async function audit(
  { operations }: Pick<Client, 'operations'>,
  deployment: Deployment,
  losses: readonly Loss[] = [],
): Promise<string[]> {
  return [
    ...(await auditFile(deployment)),
    ...(await auditSql(deployment)),
    ...(await auditAcknowledged(operations, deployment, losses)),
    ...(await auditRetries(operations, deployment, losses)),
  ]
}

/** SQLite checks the integrity of its file itself. */
async function auditFile({ db, databaseUrl }: Deployment): Promise<string[]> {
  if (databaseKind(databaseUrl) !== 'sqlite') return []
  const { rows } = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(db)
  return rows.map((row) => row.integrity_check).filter((text) => text !== 'ok')
}

async function auditSql({ db }: Deployment): Promise<string[]> {
  const found: string[] = []
  const rows = await db.selectFrom('hufu_sessions').selectAll().execute()
  const events = await db.selectFrom('hufu_events').select(['kind', 'session_id']).execute()
  const ids = new Set(rows.map(({ id }) => id))
  const countEvents = (kind: string, id: string) =>
    events.filter((event) => event.kind === kind && event.session_id === id).length
  for (const [account, mine] of Map.groupBy(rows, (row) => row.account_id)) {
    const live = mine.filter(({ ended_at }) => ended_at === null)
    if (live.length > 1) found.push(`account ${account} has ${live.length} live sessions`)
  }
  for (const row of rows) {
    if ((row.ended_at === null) !== (row.end_reason === null))
      found.push(`session ${row.id} has only one of ended_at and end_reason`)
    if (row.end_reason === 'replaced' && !ids.has(row.ended_by_session ?? ''))
      found.push(`session ${row.id} was replaced by a session that does not exist`)
    if (countEvents('signed_in', row.id) !== 1)
      found.push(`session ${row.id} does not have one signed_in event`)
    // An expiry has no event.
    const ends = row.ended_at === null || row.end_reason === 'expired' ? 0 : 1
    if (countEvents('session_ended', row.id) !== ends)
      found.push(`session ${row.id} does not have ${ends} session_ended events`)
  }
  return found
}

/**
 * Each acknowledged sign-in that is not lost has a session, and all servers accept or reject its token as the
 * database says.
 */
async function auditAcknowledged(
  operations: readonly Operation[],
  deployment: Deployment,
  losses: readonly Loss[],
): Promise<string[]> {
  const found: string[] = []
  const rows = await deployment.db.selectFrom('hufu_sessions').select(['id', 'ended_at']).execute()
  const live = new Map(rows.map(({ id, ended_at }) => [id, ended_at === null]))
  for (const operation of operations) {
    const { kind, token, outcome, account, key } = operation
    if (kind !== 'sign_in' || outcome !== 'done' || token === null) continue
    const isLive = live.get(token.slice(3, 25))
    // A session of a retried sign-in has several tokens, of which one is valid: auditRetries checks them.
    if (key !== undefined && isLive) continue
    if (isLive === undefined && !lossOf(operation, losses))
      found.push(`a sign-in of ${account} was acknowledged, but its session does not exist`)
    for (const { name, url } of deployment.servers) {
      const { status } = await fetch(`${url}/v1/session`, { headers: { authorization: `Bearer ${token}` } })
      if (status !== (isLive ? 200 : 401))
        found.push(`${name} answers ${status} for ${isLive ? 'a live session' : 'one that is over or lost'}`)
    }
  }
  return found
}

/**
 * Of the tokens that one retried sign-in got for a session, each server accepts exactly the last one, and
 * each retry has an event.
 */
async function auditRetries(
  operations: readonly Operation[],
  deployment: Deployment,
  losses: readonly Loss[],
): Promise<string[]> {
  const found: string[] = []
  const { db, servers } = deployment
  const rows = await db.selectFrom('hufu_sessions').select(['id', 'ended_at']).execute()
  const repeats = db.selectFrom('hufu_events').select('session_id').where('kind', '=', 'sign_in_repeated')
  const repeatedSessions = (await repeats.execute()).map(({ session_id }) => session_id)
  const retried = operations.filter(({ key }) => key !== undefined)
  for (const { id, ended_at } of rows) {
    const given = retried.filter(({ token }) => token?.slice(3, 25) === id)
    if (given.length === 0) continue
    const events = repeatedSessions.filter((session) => session === id).length
    // The event of a retry may be lost where its session is kept.
    const since = given.filter(({ start }) => losses.every(({ to }) => start > to)).length
    if (events < since - 1) found.push(`${since - events - 1} retries of session ${id} have no event`)
    if (ended_at !== null) continue
    const isKnown = retried
      .filter(({ key }) => key === given[0]?.key)
      .every(({ outcome }) => outcome === 'done' || outcome === 'refused')
    const accepted = new Set<string>()
    for (const { url } of servers)
      for (const { token } of given) {
        const { status } = await fetch(`${url}/v1/session`, { headers: { authorization: `Bearer ${token}` } })
        if (status === 200 && token !== null) accepted.add(token)
      }
    if (accepted.size > 1 || (isKnown && accepted.size === 0))
      found.push(`${accepted.size} of ${given.length} tokens of the live session ${id} are accepted`)
  }
  return found
}
