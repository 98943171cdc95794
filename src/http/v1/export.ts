// /v1/account/export: all stored data about an account, as a stream.
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Accounts, AccountExport as DomainExport, SessionRecord } from '../../accounts/accounts.ts'
import type { Identity } from '../../accounts/identities.ts'
import type { Event } from '../../events/events.ts'
import { isoTime } from '../../iso-time.ts'
import { flatSession } from '../../sessions/flat-session.ts'
import { callerOf, originOf } from '../authenticate.ts'
import type { RequestLifecycle } from '../lifecycle.ts'
import { closed, problem } from '../problem-answers.ts'
import { describeAccount } from './account.ts'
import { at, details, device, session } from './samples.ts'
import { nullable, Platform, time } from './shapes.ts'

const AccountExport = Type.Object(
  {
    account: Type.Ref('AccountDetails'),
    identities: Type.Array(
      Type.Object({
        kind: Type.String({ description: '`phone_number`, or another kind.' }),
        issuer: Type.String(),
        subject: Type.String(),
        verified_at: nullable(time()),
      }),
    ),
    sessions: Type.Array(
      Type.Object({
        id: Type.String(),
        platform: Platform,
        device_id: nullable(Type.String()),
        device_name: nullable(Type.String()),
        app_version: nullable(Type.String()),
        ip: nullable(Type.String()),
        created_at: time(),
        seen_at: time(),
        ended_at: nullable(time()),
        end_reason: nullable(Type.String()),
      }),
    ),
    events: Type.Array(
      Type.Object({
        at: time(),
        kind: Type.String(),
        session_id: nullable(Type.String()),
        ip: nullable(Type.String()),
        detail: nullable(Type.Object({}, { additionalProperties: true })),
      }),
    ),
  },
  { $id: 'AccountExport' },
)

export const exportSchemas = [AccountExport]

const exported = {
  account: details,
  identities: [{ kind: 'phone_number', issuer: '', subject: details.phone_number, verified_at: at }],
  sessions: [
    {
      id: session.id,
      platform: session.platform,
      device_id: device.id,
      device_name: device.name,
      app_version: device.app_version,
      ip: session.ip,
      created_at: at,
      seen_at: at,
      ended_at: null,
      end_reason: null,
    },
  ],
  events: [
    {
      at,
      kind: 'signed_in',
      session_id: session.id,
      ip: session.ip,
      detail: { method: 'code', platform: 'ios' },
    },
  ],
}

const get = {
  schema: {
    tags: ['account'],
    summary: 'Export my data 导出个人信息',
    operationId: 'exportAccount',
    security: [{ token: [] }],
    response: {
      200: { description: 'Account, sessions, events', ...Type.Ref('AccountExport') },
      ...closed,
      429: problem('rate_limited'),
    },
  },
  config: { examples: { answers: { 200: { Everything: exported } } } },
} as const

interface Parts {
  readonly accounts: Accounts
}

export function exportRoutes(app: FastifyInstance, parts: Parts, lifecycle: RequestLifecycle): void {
  app.get('/v1/account/export', get, exportAccount(parts, lifecycle))
}

function exportAccount({ accounts }: Parts, lifecycle: RequestLifecycle) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const pieces = exportPieces(await accounts.export(callerOf(request), originOf(request)))
    // The stream produces the next piece when the client has taken those before it, and stops when the client
    // disconnects.
    const stream = Readable.from(pieces)
    // The status is sent by then, so the client sees a broken connection instead.
    stream.on('error', (error) => reply.raw.headersSent && lifecycle.logLateError(request, error))
    return reply.type('application/json; charset=utf-8').send(stream)
  }
}

/** The JSON of an export, in pieces of some tens of kilobytes. */
async function* exportPieces({
  account,
  identities,
  sessions,
  events,
}: DomainExport): AsyncGenerator<string> {
  const known = { account: describeAccount(account), identities: identities.map(exportedIdentity) }
  yield `${JSON.stringify(known).slice(0, -1)},"sessions":[`
  yield* listPieces(sessions, exportedSession)
  yield '],"events":['
  yield* listPieces(events, exportedEvent)
  yield ']}'
}

const itemsInPiece = 100

/** The items of a JSON array, with their commas. */
async function* listPieces<T>(items: AsyncIterable<T>, shown: (item: T) => object): AsyncGenerator<string> {
  let texts: string[] = []
  let before = ''
  for await (const item of items) {
    texts.push(JSON.stringify(shown(item)))
    if (texts.length < itemsInPiece) continue
    yield before + texts.join(',')
    before = ','
    texts = []
  }
  if (texts.length > 0) yield before + texts.join(',')
}

function exportedIdentity({ kind, issuer, subject, verifiedAt }: Identity) {
  return { kind, issuer, subject, verified_at: isoTime(verifiedAt) }
}

function exportedEvent({ at, kind, sessionId, ip, detail }: Event) {
  return { at: isoTime(at), kind, session_id: sessionId, ip, detail }
}

function exportedSession(session: SessionRecord) {
  return { ...flatSession(session), ended_at: isoTime(session.endedAt), end_reason: session.endReason }
}
