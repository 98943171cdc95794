// A session as one flat object of JSON: for exports and for the command line.
import { isoTime } from '../iso-time.ts'
import type { Session } from './session.ts'

export function flatSession(session: Session) {
  return {
    id: session.id,
    platform: session.platform,
    device_id: session.deviceId,
    device_name: session.deviceName,
    app_version: session.appVersion,
    ip: session.ip,
    created_at: isoTime(session.createdAt),
    seen_at: isoTime(session.seenAt),
  }
}
