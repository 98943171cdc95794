// What a service key is, and whether a presented one may be used: pure functions.
import { isSameText } from '../constant-time.ts'
import type { PresentedKey } from './key-text.ts'
import { areWithin, isInNetworks } from './networks.ts'

/** What a key may do. docs/service-keys.md lists exactly these. */
export const keyScopes = [
  'introspect',
  'introspect:reason',
  'introspect:phone',
  'forward-auth',
  'forward-auth:classic',
  'forward-auth:anonymous',
] as const
export type KeyScope = (typeof keyScopes)[number]

/** The key of one program of the operator, without its secret. Times are milliseconds since 1970 UTC. */
export interface ServiceKey {
  /** Public; it stays the same when the secret is rotated. */
  readonly id: string
  readonly name: string
  readonly scopes: readonly KeyScope[]
  /** CIDR blocks that it may be used from; empty: any address. */
  readonly networks: readonly string[]
  readonly createdAt: number
  /** The key that created it; null: an operator. */
  readonly createdBy: string | null
  /** null: never. */
  readonly expiresAt: number | null
  readonly rotatedAt: number | null
  /** Until when the secret before the last rotation stays valid; null: there is none. */
  readonly previousUntil: number | null
  readonly revokedAt: number | null
  /** To the minute; null: never used. */
  readonly lastUsedAt: number | null
}

/** A key with what is stored of its secrets. */
export interface StoredKey extends ServiceKey {
  readonly secretHash: string
  readonly previousHash: string | null
}

export type KeyState = 'live' | 'expired' | 'revoked'

export function keyStateAt({ revokedAt, expiresAt }: ServiceKey, now: number): KeyState {
  if (revokedAt !== null) return 'revoked'
  return expiresAt !== null && now >= expiresAt ? 'expired' : 'live'
}

/** Whether the secret before the last rotation is valid at `now`. */
export function isRotating({ previousUntil }: ServiceKey, now: number): boolean {
  return previousUntil !== null && now < previousUntil
}

export type KeyVerdict = KeyState | 'unknown' | 'other_network'

/**
 * Whether a presented key may be used. Only the right secret learns more than `unknown`. Both secrets are
 * compared in every case, and each takes the same time however much of it agrees.
 * @param address the caller's; null: unknown
 */
export function judgeKey(
  key: StoredKey,
  { hash }: PresentedKey,
  { address, now }: { readonly address: string | null; readonly now: number },
): KeyVerdict {
  const isCurrent = isSameText(key.secretHash, hash)
  const isPrevious = isSameText(key.previousHash ?? '', hash)
  if (!isCurrent && !(isPrevious && isRotating(key, now))) return 'unknown'
  const state = keyStateAt(key, now)
  if (state !== 'live') return state
  return key.networks.length === 0 || isInNetworks(key.networks, address) ? 'live' : 'other_network'
}

/** What a key may do, and for how long. */
export type KeyRights = Pick<ServiceKey, 'scopes' | 'networks' | 'expiresAt'>

/** Whether a new key would have no more rights than its maker. */
export function isWithinRights(rights: KeyRights, maker: KeyRights): boolean {
  const endsInTime =
    maker.expiresAt === null || (rights.expiresAt !== null && rights.expiresAt <= maker.expiresAt)
  const staysInside =
    maker.networks.length === 0 || (rights.networks.length > 0 && areWithin(rights.networks, maker.networks))
  return endsInTime && staysInside && rights.scopes.every((scope) => maker.scopes.includes(scope))
}
