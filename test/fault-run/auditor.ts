// Afterwards, with everything well again: what the stores say must fit together, and fit what the client was
// told.
import { sql } from 'kysely'
import { databaseKind } from '../../src/database/open.ts'
import type { Client } from './client.ts'
import type { Operation } from './history.ts'
import type { Deployment } from './deployment.ts'

/** What does not fit, in words. */
export async function audit(client: Client, deployment: Deployment): Promise<string[]> {
  return [
    ...(await auditFile(deployment)),
    ...(await auditSql(deployment)),
    ...(await auditAcknowledged(client.operations, deployment)),
    ...(await auditRetries(client.operations, deployment)),
  ]
}

/** A database in one file says itself whether it is whole. */
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
  const told = (kind: string, id: string) =>
    events.filter((event) => event.kind === kind && event.session_id === id).length
  for (const [account, mine] of Map.groupBy(rows, (row) => row.account_id)) {
    const live = mine.filter(({ ended_at }) => ended_at === null)
    if (live.length > 1) found.push(`account ${account} has ${live.length} live sessions`)
  }
  for (const row of rows) {
    if ((row.ended_at === null) !== (row.end_reason === null)) found.push(`session ${row.id} is half ended`)
    if (row.end_reason === 'replaced' && !ids.has(row.ended_by_session ?? ''))
      found.push(`session ${row.id} was replaced by none`)
    if (told('signed_in', row.id) !== 1) found.push(`the start of session ${row.id} is not told once`)
    const ends = row.ended_at === null ? 0 : 1
    if (told('session_ended', row.id) !== ends)
      found.push(`the end of session ${row.id} is told wrongly: ${ends} wanted`)
  }
  return found
}

/** An acknowledged sign-in exists; the last one of an account that was not ended is valid on each server. */
async function auditAcknowledged(operations: readonly Operation[], deployment: Deployment): Promise<string[]> {
  const found: string[] = []
  const rows = await deployment.db.selectFrom('hufu_sessions').select(['id', 'ended_at']).execute()
  const live = new Map(rows.map(({ id, ended_at }) => [id, ended_at === null]))
  for (const { kind, token, outcome, account, key } of operations) {
    if (kind !== 'sign_in' || outcome !== 'done' || token === null) continue
    const isLive = live.get(token.slice(3, 25))
    // Of the tokens of one session that was signed in to again and again, one is good: below.
    if (key !== undefined && isLive) continue
    if (isLive === undefined) found.push(`a sign-in of ${account} was acknowledged and is not there`)
    for (const { name, url } of isLive === undefined ? [] : deployment.servers) {
      const { status } = await fetch(`${url}/v1/session`, { headers: { authorization: `Bearer ${token}` } })
      if (status !== (isLive ? 200 : 401))
        found.push(`${name} says ${status} of a session that is ${isLive ? 'live' : 'over'}`)
    }
  }
  return found
}

/**
 * Of the tokens that the tries of one sign-in gave for a session, the last one is good, on each server; each
 * repeat is told.
 */
async function auditRetries(operations: readonly Operation[], deployment: Deployment): Promise<string[]> {
  const found: string[] = []
  const { db, servers } = deployment
  const rows = await db.selectFrom('hufu_sessions').select(['id', 'ended_at']).execute()
  const repeats = db.selectFrom('hufu_events').select('session_id').where('kind', '=', 'sign_in_repeated')
  const told = (await repeats.execute()).map(({ session_id }) => session_id)
  const retried = operations.filter(({ key }) => key !== undefined)
  for (const { id, ended_at } of rows) {
    const given = retried.filter(({ token }) => token?.slice(3, 25) === id)
    if (given.length === 0) continue
    const events = told.filter((session) => session === id).length
    if (events < given.length - 1)
      found.push(`${given.length - events - 1} repeats of session ${id} are not told`)
    if (ended_at !== null) continue
    const isKnown = retried
      .filter(({ key }) => key === given[0]?.key)
      .every(({ outcome }) => outcome === 'done' || outcome === 'refused')
    const good = new Set<string>()
    for (const { url } of servers)
      for (const { token } of given) {
        const { status } = await fetch(`${url}/v1/session`, { headers: { authorization: `Bearer ${token}` } })
        if (status === 200 && token !== null) good.add(token)
      }
    if (good.size > 1 || (isKnown && good.size === 0))
      found.push(`${good.size} of ${given.length} tokens of the live session ${id} are good`)
  }
  return found
}
