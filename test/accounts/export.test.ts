// An export of 100,000 events and sessions is complete and streamed while other requests continue, on every
// database.
import { once } from 'node:events'
import { connect } from 'node:net'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { DatabaseKind } from '../../src/database/open.ts'
import { databaseKind } from '../../src/database/open.ts'
import { noOrigin } from '../../src/events/events.ts'
import { admitKnown } from '../../src/sessions/sessions.ts'
import { addPerson, type RunningApp, runCommand, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'
import { insertMany } from '../support/many-rows.ts'
import { clientOf } from '../support/v1-calls.ts'

interface Export {
  readonly account: Record<string, unknown>
  readonly sessions: readonly { readonly id: string; readonly created_at: string }[]
  readonly events: readonly { readonly at: string; readonly detail: { readonly i?: number } | null }[]
}

const many = 100_000
const start = sql.lit(Date.UTC(2026, 0, 1))

describe.each(databases)('$name', ({ create, skipped }) => {
  const usable = test.skipIf(skipped !== null)
  let app: RunningApp
  let drop: () => Promise<void>
  let kind: DatabaseKind
  let databaseUrl: string

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await create()
    drop = fresh.drop
    databaseUrl = fresh.url
    kind = databaseKind(fresh.url) ?? expect.fail()
    app = await startApp(fresh.url)
  })
  afterAll(async () => {
    await app?.close()
    await drop?.()
  })

  /** An account with many events, and a session. Two of three events share a millisecond. */
  async function personWith(number: string, earlier: { events: number; sessions: number }) {
    const { id } = await addPerson(app.services, number)
    const mark = number.slice(-3)
    await insertMany(app.byHand, kind, 'hufu_events', earlier.events, {
      id: (i, { concat, padded }) => concat(sql.lit(mark), sql`'-'`, padded(i, 18)),
      at: (i) => sql`${start} + ${i} - ${i} % 3`,
      kind: () => sql`'signed_in'`,
      account_id: () => sql.lit(id),
      phone_number: () => sql.lit(`+86${number}`),
      ip: () => sql`'203.0.113.7'`,
      detail: (i, { concat, padded }) => concat(sql`'{"text":"'`, padded(i, 100), sql`'"}'`),
    })
    await insertMany(app.byHand, kind, 'hufu_sessions', earlier.sessions, {
      id: (i, { concat, padded }) => concat(sql.lit(mark), sql`'-'`, padded(i, 18)),
      account_id: () => sql.lit(id),
      token_hash: (i, { concat, padded }) => concat(sql.lit(mark), padded(i, 40)),
      platform: () => sql`'ios'`,
      created_at: (i) => sql`${start} + ${i} - ${i} % 3`,
      seen_at: (i) => i,
      ended_at: (i) => i,
      end_reason: () => sql`'signed_out'`,
    })
    return { id, number, token: await signIn(id) }
  }

  async function signIn(accountId: string): Promise<string> {
    const admit = admitKnown(accountId)
    const issued = await app.services.sessions.issue({
      device: phone,
      origin: noOrigin,
      method: 'given',
      admit,
    })
    return issued?.token ?? expect.fail()
  }

  /** Reads the bytes without parsing them. */
  async function bytesOf(token: string): Promise<ArrayBuffer> {
    const answer = await fetch(`${app.url}/v1/account/export`, {
      headers: { authorization: `Bearer ${token}` },
    })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
    return await answer.arrayBuffer()
  }

  async function exportOf(token: string): Promise<Export> {
    const { status, headers, body } = await clientOf(app).exportAccount(token)
    expect([status, headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8'])
    // The schema of this route: test/docs/docs.test.ts.
    return body as object as Export
  }

  usable(
    'an export has each event and each session once, in order, also within one millisecond',
    async () => {
      const { token, id, number } = await personWith('13800000101', { events: 1_001, sessions: 601 })
      const { account, sessions, events } = await exportOf(token)
      expect(account).toMatchObject({ id, phone_number: `+86${number}` })
      // The account's creation, its sign-in and the export itself, besides the earlier events.
      expect(events).toHaveLength(1_001 + 3)
      expect(events.map(({ at }) => at)).toEqual(
        events
          .map(({ at }) => at)
          .toSorted()
          .toReversed(),
      )
      expect(new Set(events.map(({ detail }) => JSON.stringify(detail))).size).toBeGreaterThanOrEqual(1_001)
      expect(sessions).toHaveLength(602)
      expect(new Set(sessions.map((session) => session.id)).size).toBe(602)
      expect(sessions.map(({ created_at }) => created_at)).toEqual(
        sessions.map(({ created_at }) => created_at).toSorted(),
      )
    },
  )

  usable('`hufu events` lists each event of an account and of its number once, newest first', async () => {
    const { number } = await personWith('13800000102', { events: 450, sessions: 0 })
    // Events of the number alone, between the others.
    await insertMany(app.byHand, kind, 'hufu_events', 450, {
      id: (i, { concat, padded }) => concat(sql`'only-'`, padded(i, 17)),
      at: (i) => sql`${start} + ${i}`,
      kind: () => sql`'code_sent'`,
      phone_number: () => sql.lit(`+86${number}`),
    })
    const listed = await runCommand(['events', number, '--json'], { HUFU_DATABASE_URL: databaseUrl })
    // What --json prints: docs/command-line.md.
    const events = listed.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; at: string })
    expect(events).toHaveLength(450 + 450 + 2)
    expect(new Set(events.map(({ id }) => id)).size).toBe(902)
    expect(events).toEqual(
      events.toSorted((a, b) => (a.at === b.at ? (a.id < b.id ? 1 : -1) : a.at < b.at ? 1 : -1)),
    )
  })

  usable(
    'other requests are answered while 100,000 events are exported, and the time grows with them, not with their square',
    { timeout: 120_000 },
    async () => {
      const [other, few, lots] = [
        await personWith('13800000103', { events: 0, sessions: 0 }),
        await personWith('13800000104', { events: many / 10, sessions: 0 }),
        await personWith('13800000105', { events: many, sessions: 0 }),
      ]
      // The database does the same by itself after enough rows.
      if (kind === 'postgres') await sql`analyze`.execute(app.byHand)
      await exportOf(other.token)
      const measure = async () => {
        const short = await timed(() => bytesOf(few.token))
        const whileExporting = latencies(other.token)
        // The text is parsed afterwards, because parsing blocks this process, in which the server also runs.
        const long = await timed(() => bytesOf(lots.token))
        const waits = await whileExporting.stop()
        expect(JSON.parse(Buffer.from(long.value).toString()).events).toHaveLength(many + 3)
        expect(waits.length).toBeGreaterThan(20)
        return { growth: long.ms / short.ms, longestWait: Math.max(...waits) / long.ms }
      }
      const isFlat = ({ growth, longestWait }: { growth: number; longestWait: number }) =>
        growth < 40 && longestWait < 0.2
      let seen = await measure()
      // Other work of the machine slows one of the two exports down; a square does so every time.
      for (let tries = 1; tries < 3 && !isFlat(seen); tries++) seen = await measure()
      expect(seen.growth).toBeLessThan(40)
      expect(seen.longestWait).toBeLessThan(0.2)
    },
  )

  /** Measures the durations of sequential requests until it is stopped. */
  function latencies(token: string) {
    let isOver = false
    const waits: number[] = []
    const asking = (async () => {
      while (!isOver) {
        const headers = { authorization: `Bearer ${token}` }
        const { value, ms } = await timed(() => fetch(`${app.url}/v1/session`, { headers }))
        expect(value.status).toBe(200)
        await value.arrayBuffer()
        waits.push(ms)
      }
    })()
    return {
      async stop(): Promise<number[]> {
        isOver = true
        await asking
        return waits
      },
    }
  }

  usable('an export stops when its session ends', async () => {
    const { token } = await personWith('13800000108', { events: 60_000, sessions: 0 })
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
    socket.write(`GET /v1/account/export HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`)
    await once(socket, 'data')
    // The rest is in the buffers of both ends.
    socket.pause()
    expect((await clientOf(app).signOut(token)).status).toBe(204)
    let read = 0
    socket.on('data', (chunk) => {
      read += chunk.length
    })
    socket.resume()
    await once(socket, 'close')
    const whole = (await bytesOf((await personWith('13800000109', { events: 60_000, sessions: 0 })).token))
      .byteLength
    expect(read / whole).toBeLessThan(0.8)
    expect(app.lines.filter((text) => text.includes('"level":50'))).toEqual([])
  })

  usable('a disconnecting client stops the export', async () => {
    const { token } = await personWith('13800000106', { events: 60_000, sessions: 0 })
    const reads = vi.spyOn(app.services.db, 'selectFrom')
    const pages = () => reads.mock.calls.filter(([table]) => String(table) === 'hufu_events').length
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
    socket.write(
      `GET /v1/account/export HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\nx-request-id: gone-${kind}\r\n\r\n`,
    )
    await once(socket, 'data')
    socket.pause()
    await expect.poll(pages).toBeGreaterThan(0)
    socket.destroy()
    const line = () => app.lines.find((text) => text.includes(`gone-${kind}`))
    await expect.poll(line, { timeout: 5_000 }).toContain('"status":499')
    const [read] = [
      pages(),
      await exportOf((await personWith('13800000107', { events: 0, sessions: 0 })).token),
    ]
    expect(read).toBeLessThan(250)
    // One page of the other export, and at most one that was being read.
    expect(pages() - read).toBeLessThanOrEqual(2)
    expect(app.lines.filter((text) => text.includes('"level":50'))).toEqual([])
    reads.mockRestore()
  })
})

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const began = performance.now()
  const value = await work()
  return { value, ms: performance.now() - began }
}
