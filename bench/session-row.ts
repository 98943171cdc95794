// The row of a live session, as the sign-in of an app leaves it: the device has a name, an id and a version
// of the app.
import { randomUUID } from 'node:crypto'
import { newCompactId } from '../src/ids.ts'
import { hashToken, issueToken } from '../src/sessions/token.ts'

/** A new session of an account, and its token. */
export function newSessionRow(accountId: string, now: number) {
  const id = newCompactId(now)
  const token = issueToken(id)
  const row = {
    id,
    account_id: accountId,
    token_hash: hashToken(token),
    platform: 'ios' as const,
    device_id: randomUUID().toUpperCase(),
    device_name: 'iPhone 15 Pro',
    app_version: '2.1.0',
    ip: '203.0.113.7',
    created_at: now,
    seen_at: now,
    expires_at: now + 30 * 86_400_000,
  }
  return { token, row }
}
