// Columns of sessions and what they mean, for the statements of the *-rows.ts beside.

import type { SessionsTable } from '../database/schema.ts'
import type { EndReason } from './end-reason.ts'
import { isOverByPendingEnd, type MayBeOver } from './pending-end-rows.ts'
import type { Ending, Session } from './session.ts'
import type { Rotation } from './token-status.ts'

export const sessionColumns = [
  'hufu_sessions.id',
  'hufu_sessions.account_id',
  'hufu_sessions.platform',
  'hufu_sessions.device_id',
  'hufu_sessions.device_name',
  'hufu_sessions.app_version',
  'hufu_sessions.ip',
  'hufu_sessions.created_at',
  'hufu_sessions.seen_at',
  'hufu_sessions.expires_at',
] as const

export const tokenColumns = [
  'hufu_sessions.token_hash',
  'hufu_sessions.token_family_hash',
  'hufu_sessions.previous_token_hash',
  'hufu_sessions.rotated_at',
] as const

type ColumnOf<T extends string> = T extends `hufu_sessions.${infer Name extends keyof SessionsTable}`
  ? Name
  : never
export type SessionRow = Pick<SessionsTable, ColumnOf<(typeof sessionColumns)[number]>>
export type TokenRow = Pick<SessionsTable, ColumnOf<(typeof tokenColumns)[number]>>

export function toSession(row: SessionRow): Session {
  return {
    id: row.id,
    accountId: row.account_id,
    platform: row.platform,
    deviceId: row.device_id,
    deviceName: row.device_name,
    appVersion: row.app_version,
    ip: row.ip,
    createdAt: row.created_at,
    seenAt: row.seen_at,
    expiresAt: row.expires_at,
  }
}

export function toRotation(row: TokenRow): Rotation | null {
  const { token_family_hash: familyHash, previous_token_hash: previousHash, rotated_at: rotatedAt } = row
  if (familyHash === null) return null
  const pending = previousHash === null || rotatedAt === null ? null : { previousHash, rotatedAt }
  return { familyHash, pending }
}

interface EndRow extends MayBeOver, Pick<SessionsTable, 'ended_at' | 'end_reason'> {
  readonly pending_reason: EndReason | null
}

/** When and why a session ended: by its own row, or by the pending end of its account; null: it did not. */
export function endOf(row: EndRow): Pick<Ending, 'at' | 'reason'> | null {
  if (row.ended_at !== null) return { at: row.ended_at, reason: row.end_reason ?? 'signed_out' }
  if (row.pending_at === null || !isOverByPendingEnd(row)) return null
  return { at: row.pending_at, reason: row.pending_reason ?? 'signed_out' }
}
