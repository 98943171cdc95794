// Which sessions end when a new one starts: a pure function, called inside the sign-in transaction.
import type { Platform } from './platform.ts'

export interface Policy {
  /** Which sessions compete for room: those of the whole account, of one platform, or of one device. */
  readonly scope: 'account' | 'platform' | 'device'
  /** How many live sessions have room in one scope; 0 is any number. */
  readonly max: number
  readonly whenFull: 'replace_oldest' | 'refuse'
}

export interface Contender {
  readonly id: string
  readonly platform: Platform
  readonly deviceId: string | null
  readonly createdAt: number
}

/** The session that a sign-in asks for. */
export type Candidate = Pick<Contender, 'platform' | 'deviceId'>

/**
 * The ids of the live sessions that end as `replaced` when `candidate` starts, or 'refused'. Two rules apply
 * with every policy: a device that signs in again replaces its own session, and the classic API allows one
 * session for each account, because the tutorial's apps rely on it.
 */
export function decide(
  policy: Policy,
  live: readonly Contender[],
  candidate: Candidate,
): string[] | 'refused' {
  const isOwn = (session: Contender) => isSameDevice(session, candidate) || isSameClassic(session, candidate)
  const own = live.filter(isOwn)
  const rivals = live.filter((session) => !isOwn(session) && competes(policy.scope, session, candidate))
  const surplus = policy.max === 0 ? 0 : Math.max(0, rivals.length + 1 - policy.max)
  if (surplus > 0 && policy.whenFull === 'refuse') return 'refused'
  const oldestFirst = rivals.toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
  return [...own, ...oldestFirst.slice(0, surplus)].map((session) => session.id)
}

/** Which live sessions `decide` has to see: all others stay, whatever it says. null: none. */
export function contendersOf(
  { scope, max }: Policy,
  { platform, deviceId }: Candidate,
): { readonly platform?: Platform; readonly deviceId?: string } | null {
  if (max > 0 && scope === 'account') return {}
  if (platform === 'classic' || (max > 0 && (scope === 'platform' || deviceId === null))) return { platform }
  return deviceId === null ? null : { platform, deviceId }
}

function isSameDevice(session: Contender, candidate: Candidate): boolean {
  return (
    candidate.deviceId !== null &&
    session.deviceId === candidate.deviceId &&
    session.platform === candidate.platform
  )
}

function isSameClassic(session: Contender, candidate: Candidate): boolean {
  return candidate.platform === 'classic' && session.platform === 'classic'
}

function competes(scope: Policy['scope'], session: Contender, candidate: Candidate): boolean {
  switch (scope) {
    case 'account':
      return true
    case 'platform':
      return session.platform === candidate.platform
    case 'device':
      // An app that names no device shares one place with the others of its platform that name none.
      return session.platform === candidate.platform && session.deviceId === candidate.deviceId
  }
}
