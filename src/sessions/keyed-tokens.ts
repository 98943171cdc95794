// What a sign-in with an idempotency key gives to the client: secrets made from that key, so that each try of
// the sign-in gets the same ones, in whatever order its requests arrive. docs/tokens.md judges this.
import { createHmac } from 'node:crypto'
import { randomText } from '../random-text.ts'

/** What the secrets of a keyed sign-in are made from. */
export interface KeyedSource {
  /** The client's idempotency key: 128 random bits, base64url. Never stored. */
  readonly key: string
  readonly sessionId: string
  /** 126 random bits in the session's row, until the token is first used. */
  readonly nonce: string
}

const createdAccount = 'c'
const foundAccount = 'f'
/** What the version before wrote in place of a nonce that begins with `c`. */
const createdAccountBefore = 'made_account'

/** A nonce of 22 characters, which also says whether the sign-in created the account. */
export function newSignInNonce(created: boolean): string {
  return (created ? createdAccount : foundAccount) + randomText(16).slice(1)
}

/** Whether the sign-in with this nonce created the account. */
export function hasCreatedAccount(nonce: string | null): boolean {
  return nonce !== null && (nonce.startsWith(createdAccount) || nonce === createdAccountBefore)
}

/** The session's token, in the form of token.ts. */
export function tokenFromKey(source: KeyedSource): string {
  return `hf_${source.sessionId}${secretFromKey('token', source)}`
}

/** A device proof, in the form of device-proofs.ts. */
export function deviceProofFromKey(source: KeyedSource): string {
  return `hp_${secretFromKey('device_proof', source)}`
}

/**
 * HMAC-SHA-256 (RFC 2104) keyed with the client's key. A reader of the database has the nonce and not the
 * key; a holder of the key does not have the nonce.
 */
function secretFromKey(purpose: 'token' | 'device_proof', { key, sessionId, nonce }: KeyedSource): string {
  const message = JSON.stringify([purpose, sessionId, nonce])
  return createHmac('sha256', Buffer.from(key, 'base64url')).update(message).digest('base64url')
}
