// Every statement of every *-rows.ts on tables with many rows, explained and measured by each database: none
// reads a whole table, none sorts rows that an index has in order, and none reads more rows than a bound.
// HUFU_TEST_ROWS=1000000 uses a million rows, of which one account has two hundred thousand.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  CompiledQuery,
  Kysely,
  type KyselyPlugin,
  type PluginTransformQueryArgs,
  type PluginTransformResultArgs,
  type QueryResult,
  type RawBuilder,
  type RootOperationNode,
  sql,
  type UnknownRow,
} from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as accountRows from '../../src/accounts/account-rows.ts'
import * as barredNumberRows from '../../src/accounts/barred-number-rows.ts'
import * as identityRows from '../../src/accounts/identity-rows.ts'
import * as changeRows from '../../src/changes/change-rows.ts'
import * as trialRows from '../../src/cli/doctor-trial-rows.ts'
import * as codeRows from '../../src/codes/code-rows.ts'
import { migrate } from '../../src/database/migrate.ts'
import { type DatabaseKind, databaseKind, dialectFor, openDatabase } from '../../src/database/open.ts'
import * as purgeRows from '../../src/database/purge-rows.ts'
import type { Database, Tables } from '../../src/database/schema.ts'
import { migrationDeadlines } from '../../src/database/session-defaults.ts'
import * as eventRows from '../../src/events/event-rows.ts'
import * as counterRows from '../../src/limits/counter-rows.ts'
import * as serviceKeyRows from '../../src/service-keys/service-key-rows.ts'
import * as deviceProofRows from '../../src/sessions/device-proof-rows.ts'
import * as lastSeenRows from '../../src/sessions/last-seen-rows.ts'
import * as liveSessionRows from '../../src/sessions/live-session-rows.ts'
import * as lockedAccountRows from '../../src/sessions/locked-account-rows.ts'
import * as oldSessionRows from '../../src/sessions/old-session-rows.ts'
import { removeOldSessions } from '../../src/sessions/old-sessions.ts'
import * as pendingEndRows from '../../src/sessions/pending-end-rows.ts'
import * as sessionRecordRows from '../../src/sessions/session-record-rows.ts'
import * as sessionRows from '../../src/sessions/session-rows.ts'
import * as signInRepeatRows from '../../src/sessions/sign-in-repeat-rows.ts'
import * as tokenRows from '../../src/sessions/token-rows.ts'
import { databases } from '../support/databases.ts'
import { type Cell, insertMany } from '../support/many-rows.ts'
import { whyMissing } from '../support/services/binaries.ts'
import { rolledBack, visitedRows } from '../support/visited-rows.ts'

const modules = {
  'accounts/account-rows.ts': accountRows,
  'accounts/barred-number-rows.ts': barredNumberRows,
  'accounts/identity-rows.ts': identityRows,
  'cli/doctor-trial-rows.ts': trialRows,
  'codes/code-rows.ts': codeRows,
  'database/purge-rows.ts': purgeRows,
  'events/event-rows.ts': eventRows,
  'limits/counter-rows.ts': counterRows,
  'changes/change-rows.ts': changeRows,
  'service-keys/service-key-rows.ts': serviceKeyRows,
  'sessions/device-proof-rows.ts': deviceProofRows,
  'sessions/old-session-rows.ts': oldSessionRows,
  'sessions/pending-end-rows.ts': pendingEndRows,
  'sessions/last-seen-rows.ts': lastSeenRows,
  'sessions/live-session-rows.ts': liveSessionRows,
  'sessions/locked-account-rows.ts': lockedAccountRows,
  'sessions/session-record-rows.ts': sessionRecordRows,
  'sessions/sign-in-repeat-rows.ts': signInRepeatRows,
  'sessions/token-rows.ts': tokenRows,
  'sessions/session-rows.ts': sessionRows,
}

/** Functions without a statement of their own, with the reason. */
const withoutPlan: Readonly<Record<string, string>> = {
  certify: 'one row by its id, and no statement where it is not needed',
  newHistory: 'asks nothing',
  prepareFindSession: 'the statement of findSession',
  disableDiskSync: 'a pragma',
  insertAccount: 'inserts one row',
  insertBarredNumber: 'inserts one row',
  insertChange: 'inserts one row',
  insertChangeAfter: 'inserts one row',
  insertChangeOf: 'inserts one row',
  insertCode: 'inserts one row',
  insertCounters: 'inserts rows',
  insertDeviceProof: 'inserts one row',
  insertEvents: 'inserts rows',
  insertKey: 'inserts one row',
  insertNetwork: 'inserts one row',
  insertPendingEnd: 'inserts one row',
  insertPurge: 'inserts one row',
  isOverByPendingEnd: 'asks nothing',
  pendingEndColumns: 'a part of other statements',
  insertSession: 'inserts one row',
  tryWrites: 'tries rights on no row, and is rolled back',
  updateCounters: 'inserts rows, or writes those of the same key',
}

/** Statements that may read a whole table, with the reason. */
const wholeTable: Readonly<Record<string, string>> = {
  findStart: 'once at a start, and the feed keeps an hour: deleteChangesBefore',
  listPurges: 'a row for each kind of data',
  listKeys: 'at most a thousand keys, and those that are over for 90 days',
  countLiveKeys: 'the same',
  deleteKeysOverBefore: 'the same',
  findKey: 'empty here: a primary key',
  rotateKey: 'the same',
  revokeKey: 'the same',
  updateLastUse: 'the same',
  listNetworks: 'the same',
  listPendingEnds: 'a row for each account whose sessions are being ended now',
  findPurge: 'a row for each kind of data',
  updatePurge: 'a row for each kind of data',
  listIdentities: 'empty here: an index of its own',
  deleteIdentitiesOf: 'the same',
  isBarredNumber: 'empty here: a primary key',
  deleteBarredNumber: 'empty here: a primary key',
}

/** Statements that may sort, with the reason. */
const maySort: Readonly<Record<string, string>> = {
  listLiveContenders: 'PostgreSQL sees no equality in `is null`; it gives all rows that it sorts',
  listLiveSessions: 'the same',
  readFewLiveSessions: 'the same',
  listUnended: 'the same',
  listLiveSessionIds: 'the same; MariaDB may choose so for a page of a thousand',
  listLiveSessionIdsBefore: 'the same',
  listIdentities: 'an account has a handful of them',
  listDueForRemoval: 'only the accounts that fall due in the same millisecond',
  listKeys: 'at most a thousand keys, and those that ended in the last 90 days',
}

/**
 * The maximum number of rows that one statement may return or change: above the largest batches and pages,
 * and below the rows of the one account with many.
 */
const rowsMax = 1_500

/**
 * Rows and entries of indexes that one statement may read: a page of a thousand sessions with their indexes,
 * and less than the one account has.
 */
const visitsMax = 3_000

/** For statements that may sort: PostgreSQL sorts the rest of an account where it has a few pages left. */
const sortedVisitsMax = 15_000

/** Statements that may have more rows, with the reason. */
const manyRows: Readonly<Record<string, string>> = {
  listDeviceProofs: 'an account has ten: device-proofs.ts',
  deleteDeviceProofsOf: 'the same',
}

/** Statements that may read more rows, with the reason. */
const manyVisits: Readonly<Record<string, string>> = {
  ...manyRows,
  deleteDeviceProofsOfSession: 'an account has ten device proofs',
  deleteDeviceProofsWithoutSession: 'the same',
}

const noShell = whyMissing(['sqlite3'], 'sqlite3')
const rows = Number(process.env.HUFU_TEST_ROWS ?? 100_000)
const now = Date.UTC(2026, 0, 1)
const at = sql.lit(now)
const id = `a-${'777'.padStart(34, '0')}`
const phoneNumber = '+86130000000777'
const sessionId = 's-00000000000000000777'
const hash = 'h'.padEnd(43, '0')
const code = { phoneNumber, purpose: 'sign_in' } as const
const next = {
  id: sessionId,
  previousTokenHash: hash,
  tokenHash: hash,
  familyHash: hash,
  nonce: 'n',
  at: now,
}

/** One call of each function. The rows that it needs are inserted below. */
const calls: Readonly<Record<string, (db: Database) => Promise<unknown>>> = {
  listDueForRemoval: async (db) => {
    await accountRows.listDueForRemoval(db, now + 50, null, 10)
    await accountRows.listDueForRemoval(db, now + 50, { closesAt: now + 20, id }, 10)
  },
  findAccountById: (db) => accountRows.findAccountById(db, id),
  findRemoval: (db) => accountRows.findRemoval(db, id),
  findAccountByPhoneNumber: (db) => accountRows.findAccountByPhoneNumber(db, phoneNumber),
  lockAccountByPhoneNumber: (db) => accountRows.lockAccountByPhoneNumber(db, phoneNumber),
  listAccounts: async (db) => {
    await accountRows.listAccounts(db, null, 50)
    await accountRows.listAccounts(db, { registeredAt: now + rows / 2, id }, 50)
  },
  replacePasswordHash: (db) => accountRows.replacePasswordHash(db, { id, from: 'x', to: 'y', now }),
  isBarredNumber: (db) => barredNumberRows.isBarredNumber(db, hash),
  deleteBarredNumber: (db) => barredNumberRows.deleteBarredNumber(db, hash),
  deleteIdentitiesOf: (db) => identityRows.deleteIdentitiesOf(db, id),
  listIdentities: (db) => identityRows.listIdentities(db, id),
  findCode: (db) => codeRows.findCode(db, code),
  replaceCode: (db) =>
    codeRows.replaceCode(db, code, {
      nonce: 'none',
      by: { nonce: 'n', guesses: 0, sentAt: now, expiresAt: now, usedAt: null },
    }),
  extendCode: (db) => codeRows.extendCode(db, code, { now, until: now, madeAfter: now, maxGuesses: 5 }),
  touchCode: (db) => codeRows.touchCode(db, code),
  countGuess: (db) => codeRows.countGuess(db, code, { fingerprint: 'f', now, maxGuesses: 5 }),
  useCode: (db) => codeRows.useCode(db, code, 'none', now),
  deleteCodesOf: (db) => codeRows.deleteCodesOf(db, '+86130000000778'),
  deleteCodesBefore: (db) => codeRows.deleteCodesBefore(db, now + 50, 10),
  findPurge: (db) => purgeRows.findPurge(db, 'events'),
  listPurges: (db) => purgeRows.listPurges(db),
  updatePurge: (db) => {
    const row = { name: 'events', seen_at: 1, wait_ms: 0, ran_at: null }
    return purgeRows.updatePurge(db, row, row)
  },
  listEvents: async (db) => {
    for (const subject of [
      { column: 'account_id', value: id },
      { column: 'phone_number', value: phoneNumber },
    ] as const) {
      await eventRows.listEvents(db, subject, null, 50)
      await eventRows.listEvents(db, subject, { at: now + rows / 2, id: 'e' }, 50)
    }
  },
  insertEventsOfSessions: (db) =>
    eventRows.insertEventsOfSessions(db, [sessionId, 's-00000000000000000778'], {
      at: now,
      kind: 'session_ended',
      ip: null,
      requestId: null,
      detail: null,
    }),
  deleteEventsBefore: (db) => eventRows.deleteEventsBefore(db, now + 50, 10),
  removeNumberFromEvents: (db) => eventRows.removeNumberFromEvents(db, ['e-00000000000000000007']),
  emptyEvents: (db) => eventRows.emptyEvents(db, ['e-00000000000000000007', 'e-00000000000000000008']),
  listExpiredSessions: async (db) => {
    await oldSessionRows.listExpiredSessions(db, now + rows / 2, null, 50)
    const after = { expiresAt: now + rows / 4, id: sessionId }
    await oldSessionRows.listExpiredSessions(db, now + rows / 2, after, 50)
  },
  endExpiredSessions: (db) => oldSessionRows.endExpiredSessions(db, [sessionId, 's-2'], now + rows),
  deleteSessionsEndedBefore: (db) => oldSessionRows.deleteSessionsEndedBefore(db, now + rows / 2, 50),
  deleteSessionsOf: async (db) => {
    await oldSessionRows.deleteSessionsOf(db, id, null, 50)
    await oldSessionRows.deleteSessionsOf(db, id, { createdAt: now + rows / 2, id: sessionId }, 50)
  },
  lockCounters: (db) => counterRows.lockCounters(db, ['c-7', 'c-8']),
  deleteCounters: (db) => counterRows.deleteCounters(db, ['c-7', 'c-8']),
  deleteExpiredCounters: (db) => counterRows.deleteExpiredCounters(db, now + 50, 10),
  readChanges: (db) => changeRows.readChanges(db, { from: rows - 100, limit: 50 }),
  readUnsteppedChanges: (db) => changeRows.readUnsteppedChanges(db, 0),
  findStart: (db) => changeRows.findStart(db, now + rows - 100, 50),
  beginHistory: (db) => changeRows.beginHistory(db, 'h', 'none'),
  deleteChangesBefore: (db) => changeRows.deleteChangesBefore(db, now + 50, { keep: 1_000, limit: 10 }),
  listKeys: (db) => serviceKeyRows.listKeys(db),
  findKey: (db) => serviceKeyRows.findKey(db, 'abcdefghijkl'),
  countLiveKeys: (db) => serviceKeyRows.countLiveKeys(db, now),
  rotateKey: (db) =>
    serviceKeyRows.rotateKey(db, { id: 'abcdefghijkl', secretHash: hash, now, previousUntil: now }),
  revokeKey: (db) => serviceKeyRows.revokeKey(db, 'abcdefghijkl', now),
  updateLastUse: (db) => serviceKeyRows.updateLastUse(db, 'abcdefghijkl', now, 60_000),
  listNetworks: (db) => serviceKeyRows.listNetworks(db, 'abcdefghijkl'),
  deleteKeysOverBefore: (db) => serviceKeyRows.deleteKeysOverBefore(db, now, 50),
  findDeviceProof: (db) => deviceProofRows.findDeviceProof(db, hash, phoneNumber),
  listDeviceProofs: (db) => deviceProofRows.listDeviceProofs(db, id),
  renewDeviceProof: (db) =>
    deviceProofRows.renewDeviceProof(db, { hash, accountId: id, phoneNumber, sessionId, seenAt: now }),
  deleteDeviceProofs: (db) => deviceProofRows.deleteDeviceProofs(db, id, [hash]),
  deleteDeviceProofsWithoutSession: (db) => deviceProofRows.deleteDeviceProofsWithoutSession(db, 'none', now),
  deleteDeviceProofsOf: (db) => deviceProofRows.deleteDeviceProofsOf(db, id, sessionId),
  deleteDeviceProofsOfSession: (db) => deviceProofRows.deleteDeviceProofsOfSession(db, id, sessionId),
  deleteDeviceProofsBefore: (db) => deviceProofRows.deleteDeviceProofsBefore(db, now + 50, 10),
  lockAccount: (db) => lockedAccountRows.lockAccount(db, id),
  lockAccountRow: (db) => lockedAccountRows.lockAccountRow(db, id),
  updateLockedAccount: async (db) => {
    const row = (await accountRows.findAccountById(db, id)) ?? expect.fail()
    const end = { ids: [sessionId, 's-2'], at: now, reason: 'kicked', by: null } as const
    await lockedAccountRows.updateLockedAccount(db, row, { set: { nickname: 'n' }, end, now })
  },
  deleteAccount: (db) => lockedAccountRows.deleteAccount(db, 'none'),
  findSession: (db) => sessionRows.findSession(db, sessionId),
  listSessionRecords: async (db) => {
    await sessionRecordRows.listSessionRecords(db, id, null, 50)
    await sessionRecordRows.listSessionRecords(db, id, { createdAt: now + rows / 2, id: sessionId }, 50)
  },
  listLiveSessions: async (db) => {
    await liveSessionRows.listLiveSessions(db, id, { now, limit: 50 })
    const after = { createdAt: now + rows / 2, id: sessionId }
    await liveSessionRows.listLiveSessions(db, id, { now, after, limit: 50 })
  },
  readFewLiveSessions: (db) => liveSessionRows.readFewLiveSessions(db, id, now, 50),
  listLiveContenders: (db) => liveSessionRows.listLiveContenders(db, id, now, { platform: 'ios' }),
  listUnended: async (db) => {
    await liveSessionRows.listUnended(db, id, { after: null, limit: 50 })
    const after = { createdAt: now + rows / 2, id: sessionId }
    await liveSessionRows.listUnended(db, id, { after, limit: 50 })
  },
  spareSessions: (db) => sessionRows.spareSessions(db, [sessionId, 's-2'], 'p'),
  findPendingEnd: (db) => pendingEndRows.findPendingEnd(db, id),
  listPendingEnds: (db) => pendingEndRows.listPendingEnds(db, null, 10),
  deletePendingEnd: (db) => pendingEndRows.deletePendingEnd(db, 'none'),
  listLiveSessionIds: async (db) => {
    await liveSessionRows.listLiveSessionIds(db, id, now, null)
    await liveSessionRows.listLiveSessionIds(db, id, now, 50)
  },
  listLiveSessionIdsBefore: async (db) => {
    await liveSessionRows.listLiveSessionIdsBefore(db, id, now, now + rows / 2)
  },
  listAccountsWithUnended: async (db) => {
    for (const after of ['', id])
      for (const startedBefore of [null, now + rows / 2])
        await liveSessionRows.listAccountsWithUnended(db, { after, startedBefore, limit: 50 })
  },
  findSessions: (db) => sessionRows.findSessions(db, [sessionId, 's-2']),
  findRepeatable: (db) =>
    signInRepeatRows.findRepeatable(db, id, { fingerprint: hash, since: now + rows - 50 }),
  hasSignedIn: (db) => signInRepeatRows.hasSignedIn(db, id, { fingerprint: hash, since: now + rows - 50 }),
  replaceUnusedToken: (db) =>
    signInRepeatRows.replaceUnusedToken(db, sessionId, {
      fingerprint: hash,
      tokenHash: hash,
      familyHash: hash,
      nonce: 'f',
      at: now,
    }),
  rotateToken: (db) => tokenRows.rotateToken(db, next),
  retirePreviousToken: (db) => tokenRows.retirePreviousToken(db, { id: sessionId, tokenHash: hash }),
  findNonce: (db) => tokenRows.findNonce(db, sessionId),
  endSessions: (db) =>
    sessionRows.endSessions(db, { ids: [sessionId, 's-2'], at: now, reason: 'kicked', by: null }),
  updateSeen: (db) => lastSeenRows.updateSeen(db, [sessionId, 's-2'], now, 1),
  extendSessions: (db) =>
    lastSeenRows.extendSessions(db, {
      ids: [sessionId, 's-2'],
      usedAt: now,
      expiresAt: now,
      maxLifeMs: null,
      behindMs: 1,
    }),
}

/** The most rows that a statement returned or changed since `most` was set. */
class RowCounter implements KyselyPlugin {
  most = 0

  transformQuery({ node }: PluginTransformQueryArgs): RootOperationNode {
    return node
  }

  async transformResult({ result }: PluginTransformResultArgs): Promise<QueryResult<UnknownRow>> {
    this.most = Math.max(this.most, result.rows.length, Number(result.numAffectedRows ?? 0))
    return result
  }
}

async function fill(db: Database, kind: DatabaseKind): Promise<void> {
  // One account has a fifth of the sessions and events, and a twentieth of other rows; a hundred accounts
  // share the rest, so that a database that knows this may look for each account in an index.
  const owner = (i: RawBuilder<number>, share: number) =>
    sql<number>`case when ${i} % ${sql.lit(share)} = 0 then 777 else 1 + ${i} % 100 end`
  const account: Cell = (i, { concat, padded }) => concat(sql`'a-'`, padded(owner(i, 5), 34))
  const number: Cell = (i, { concat, padded }) => concat(sql`'+86130'`, padded(owner(i, 5), 9))
  const time = (i: typeof at) => sql`${at} + ${i}`
  await insertMany(db, kind, 'hufu_accounts', rows, {
    id: (i, { concat, padded }) => concat(sql`'a-'`, padded(i, 34)),
    phone_number: (i, { concat, padded }) => concat(sql`'+86130'`, padded(i, 9)),
    registered_at: time,
    updated_at: time,
    closes_at: (i) => sql`case when ${i} % 100 = 0 then ${at} + ${i} end`,
  })
  await insertMany(db, kind, 'hufu_sessions', rows, {
    id: (i, { concat, padded }) => concat(sql`'s-'`, padded(i, 20)),
    account_id: account,
    token_hash: (i, { padded }) => padded(i, 43),
    platform: () => sql`'ios'`,
    created_at: time,
    seen_at: time,
    expires_at: time,
    // All sessions of that account live, and most of the others' have ended.
    ended_at: (i) => sql`case when ${i} % 5 > 0 and ${i} % 4 > 0 then ${at} + ${i} end`,
  })
  await insertMany(db, kind, 'hufu_events', rows, {
    id: (i, { concat, padded }) => concat(sql`'e-'`, padded(i, 20)),
    at: time,
    kind: () => sql`'signed_in'`,
    account_id: account,
    phone_number: number,
  })
  await insertMany(db, kind, 'hufu_pending_ends', 1_000, {
    account_id: (i, { concat, padded }) => concat(sql`'a-'`, padded(sql<number>`${i} + 1000`, 34)),
    id: (i, { padded }) => padded(i, 22),
    at: time,
    reason: () => sql`'kicked'`,
  })
  await insertMany(db, kind, 'hufu_codes', rows, {
    phone_number: (i, { concat, padded }) => concat(sql`'+86130'`, padded(i, 9)),
    purpose: () => sql`'sign_in'`,
    nonce: (i, { padded }) => padded(i, 43),
    guesses: () => sql`0`,
    sent_at: time,
    expires_at: time,
  })
  await insertMany(db, kind, 'hufu_account_changes', rows, {
    account_id: account,
    at: time,
    step: (i) => i,
    mark: (i, { padded }) => padded(i, 11),
  })
  await insertMany(db, kind, 'hufu_limit_counters', rows, {
    name: (i, { concat, padded }) => concat(sql`'c-'`, padded(i, 20)),
    counts: () => sql`'{}'`,
    expires_at: time,
  })
  await insertMany(db, kind, 'hufu_device_proofs', rows, {
    proof_hash: (i, { padded }) => padded(i, 43),
    account_id: (i, { concat, padded }) => concat(sql`'a-'`, padded(owner(i, 20), 34)),
    phone_number: (i, { concat, padded }) => concat(sql`'+86130'`, padded(owner(i, 20), 9)),
    session_id: (i, { concat, padded }) => concat(sql`'s-'`, padded(i, 20)),
    created_at: time,
    seen_at: time,
  })
  await analyze(db, kind)
}

/** Brings the statistics up to date by which a database chooses its plans. */
async function analyze(db: Database, kind: DatabaseKind): Promise<void> {
  if (kind === 'mysql')
    for (const table of [
      'accounts',
      'sessions',
      'events',
      'codes',
      'account_changes',
      'limit_counters',
      'device_proofs',
      'pending_ends',
    ])
      await sql`analyze table ${sql.table(`hufu_${table}`)}`.execute(db)
  else await sql`analyze`.execute(db)
}

/**
 * The violation in a plan; null: none. A statement with a limit may read an index in its order, because it
 * stops at its limit.
 */
const faults: Readonly<Record<DatabaseKind, (plan: string, isLimited: boolean) => string | null>> = {
  sqlite: (plan, isLimited) => {
    const scan = isLimited ? /SCAN \w+(?! USING INDEX)\b[^"]*/ : /SCAN \w+/
    return (scan.exec(plan) ?? /USE TEMP B-TREE[^"]*/.exec(plan))?.[0] ?? null
  },
  mysql: (plan, isLimited) => {
    const scan = isLimited ? /"type":"ALL"/ : /"type":"(ALL|index)"/
    return (scan.exec(plan) ?? /Using (filesort|temporary)/.exec(plan))?.[0] ?? null
  },
  postgres: (plan) => /Seq Scan on \w+|(Incremental )?Sort {2}/.exec(plan)?.[0] ?? null,
}

test('every function of every *-rows.ts is called here, or has a reason why not', () => {
  const src = fileURLToPath(new URL('../../src/', import.meta.url))
  const files = readdirSync(src, { recursive: true }).map(String)
  expect(files.filter((file) => file.endsWith('-rows.ts')).toSorted()).toEqual(
    Object.keys(modules).toSorted(),
  )
  const functions = Object.values(modules).flatMap((module) =>
    Object.entries(module).flatMap(([name, value]) => (typeof value === 'function' ? [name] : [])),
  )
  expect([...Object.keys(calls), ...Object.keys(withoutPlan)].toSorted()).toEqual(functions.toSorted())
  // There is no SQL elsewhere, except for one row of the server's own keys and for migrations.
  const others = files.filter(
    (file) => file.endsWith('.ts') && !/-rows\.ts$|test\.ts$|^database\/|stored-key/.test(file),
  )
  for (const file of others)
    expect(readFileSync(src + file, 'utf8'), file).not.toMatch(/\.(selectFrom|updateTable|deleteFrom)\(/)
})

describe.each(databases)('$name', ({ create, skipped }) => {
  const usable = test.skipIf(skipped !== null)
  const asked: CompiledQuery[] = []
  const counter = new RowCounter()
  let db: Database
  let byHand: Database
  let kind: DatabaseKind
  let file: string
  let drop: () => Promise<void>

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await create()
    drop = fresh.drop
    kind = databaseKind(fresh.url) ?? expect.fail()
    file = fresh.url.replace(/^sqlite:/, '')
    // Inserting a million rows takes longer than the timeout of a statement.
    byHand = openDatabase(dialectFor(fresh.url, 2, { deadlines: migrationDeadlines }))
    await migrate(byHand, kind)
    await fill(byHand, kind)
    db = new Kysely<Tables>({
      dialect: dialectFor(fresh.url, 2),
      log: (event) => void asked.push(event.query),
      plugins: [counter],
    })
  }, 300_000 + rows)
  afterAll(async () => {
    await db?.destroy()
    await byHand?.destroy()
    await drop?.()
  })

  async function planOf({ sql: text, parameters }: CompiledQuery): Promise<string> {
    const explain = kind === 'sqlite' ? 'explain query plan' : 'explain'
    const { rows: lines } = await byHand.executeQuery(
      CompiledQuery.raw(`${explain} ${text}`, [...parameters]),
    )
    // This table has one row, and the databases read it in any way.
    return JSON.stringify(lines.filter((line) => !JSON.stringify(line).includes('hufu_feed')))
  }

  const faultOf = (statement: CompiledQuery, plan: string) =>
    faults[kind](plan, statement.sql.includes(' limit '))

  usable.each(Object.keys(calls))(
    '%s reads no whole table, sorts nothing, and has a bounded number of rows',
    async (name) => {
      asked.length = 0
      counter.most = 0
      await rolledBack(db, async (tx) => await calls[name]?.(tx))
      if (name in manyRows) expect(counter.most, 'it needs no exception').toBeGreaterThan(rowsMax)
      else expect(counter.most).toBeLessThanOrEqual(rowsMax)
      const statements = asked.filter(({ sql: text }) =>
        /^(select|update|delete)|^insert .*\sselect\s/s.test(text),
      )
      expect(statements.length).toBeGreaterThan(0)
      if (name in wholeTable) return
      const isMeasured = !(name in manyVisits) && (kind !== 'sqlite' || noShell === null)
      for (const statement of isMeasured ? statements : []) {
        const visited = await visitedRows(byHand, kind, statement, file)
        expect(visited, statement.sql).toBeLessThanOrEqual(name in maySort ? sortedVisitsMax : visitsMax)
      }
      for (const statement of statements) {
        const plan = await planOf(statement)
        if (name in maySort) {
          expect(plan).not.toMatch(/Seq Scan|"type":"ALL"|SCAN/)
          continue
        }
        expect({ statement: statement.sql, fault: faultOf(statement, plan), plan }).toMatchObject({
          fault: null,
        })
      }
    },
  )

  usable('the id of a session alone finds its row and its account', async () => {
    asked.length = 0
    const stored = await sessionRows.findSession(db, sessionId)
    expect(stored?.session.id).toBe(sessionId)
    expect(asked.map(({ parameters }) => parameters)).toEqual([[sessionId]])
  })

  test.skipIf(skipped !== null || noShell !== null)(
    'lists of the live sessions of an account do not read those that expired',
    async () => {
      const crowd = `a-${'888'.padStart(34, '0')}`
      await insertMany(byHand, kind, 'hufu_sessions', 3_000, {
        id: (i, { concat, padded }) => concat(sql`'x-'`, padded(i, 20)),
        account_id: () => sql`${sql.lit(crowd)}`,
        token_hash: (i, { concat, padded }) => concat(sql`'x'`, padded(i, 42)),
        platform: () => sql`'ios'`,
        created_at: (i) => sql`${sql.lit(now - 100 * 86_400_000)} + ${i}`,
        seen_at: () => at,
        expires_at: (i) => sql`${sql.lit(now - 86_400_000)} + ${i}`,
      })
      const visitedByLists = async () => {
        asked.length = 0
        await liveSessionRows.listLiveSessions(db, crowd, { now, limit: 50 })
        await liveSessionRows.listLiveSessionIds(db, crowd, now, null)
        await liveSessionRows.listLiveContenders(db, crowd, now)
        let visited = 0
        for (const statement of [...asked]) visited += await visitedRows(byHand, kind, statement, file)
        return visited
      }
      expect(await visitedByLists()).toBeGreaterThan(9_000)
      await removeOldSessions(byHand, { now, keepMs: null, limit: 500 })
      // As autovacuum does after a while: until then the index leads to the versions of rows from before.
      if (kind === 'postgres') await sql`vacuum hufu_sessions`.execute(byHand)
      expect(await visitedByLists()).toBeLessThan(1_500)
    },
    60_000,
  )

  usable('the check finds a table scan and a sort', async () => {
    const scan = db.selectFrom('hufu_accounts').selectAll().where('avatar_url', '=', 'x').compile()
    const sort = db.selectFrom('hufu_events').selectAll().where('account_id', '=', id).orderBy('ip').compile()
    for (const statement of [scan, sort]) expect(faultOf(statement, await planOf(statement))).not.toBeNull()
  })
})
