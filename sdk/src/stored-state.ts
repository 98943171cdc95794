// The stored state: the signed-in session or the reason of the sign-out, and the tokens that the server has
// yet to end.
import type { Account, Session, SignedIn, SignedOut } from './models.ts'
import { bareAccount, type Issued, isJson } from './wire.ts'

/** When more are waiting, the oldest is dropped; the value must stay small. */
const maxToEnd = 4

/**
 * A longer one is not stored, and is available again after the next `account()`. The server accepts none that
 * is longer.
 */
const maxAvatarUrl = 512

interface ToEnd {
  /** Tokens that were signed out here, but not yet on the server. They are stored only to be ended. */
  readonly toEnd: readonly string[]
}

export interface StoredSession extends SignedIn, ToEnd {
  readonly is: 'signed_in'
  readonly token: string
  /** A rotation of the token was requested, and its response has not arrived yet. */
  readonly rotating: boolean
}

interface KeptEnd extends ToEnd {
  readonly is: 'signed_out'
  readonly why: SignedOut | null
}

export type StoredState = StoredSession | KeptEnd

export const nothingStored: StoredState = { is: 'signed_out', why: null, toEnd: [] }

/**
 * The texts to store; null where there is nothing to store. The token is stored with the account's id and
 * number; they identify the rest of the account, which is only for display, in a value of its own.
 */
export interface StoredTexts {
  readonly token: string | null
  readonly account: string | null
}

/** Parses stored texts. A text that this version cannot read counts as missing. */
export function parseState(texts: StoredTexts): StoredState {
  const stored = parse(texts.token)
  if (!isStoredState(stored)) return nothingStored
  if (stored.is === 'signed_out') return stored
  const account = parse(texts.account)?.account
  const { id, phoneNumber } = stored.account
  return {
    ...stored,
    account: isAccountOf(id, account) ? account : bareAccount({ id, phoneNumber, nickname: null }),
  }
}

function parse(text: string | null): Readonly<Record<string, unknown>> | null {
  try {
    let value: unknown = JSON.parse(text || 'null')
    // A storage that writes JSON but does not parse it returns a text within a text.
    if (typeof value === 'string') value = JSON.parse(value)
    if (!isJson(value) || value.v !== 1) return null
    const { v: _, ...rest } = value
    return rest
  } catch {
    return null
  }
}

// Only formatState writes version 1: a value with these members has all of them.
function isStoredState(value: object | null): value is StoredState {
  if (!isJson(value) || !Array.isArray(value.toEnd)) return false
  if (value.is === 'signed_out') return true
  const { is, token, account, session } = value
  return is === 'signed_in' && typeof token === 'string' && isJson(account) && isJson(session)
}

function isAccountOf(id: string, value: unknown): value is Account {
  return isJson(value) && value.id === id
}

export function formatState(stored: StoredState): StoredTexts {
  const isNothing = stored.is === 'signed_out' && stored.why === null && stored.toEnd.length === 0
  if (isNothing) return { token: null, account: null }
  if (stored.is === 'signed_out') return { token: JSON.stringify({ v: 1, ...stored }), account: null }
  const { id, phoneNumber, avatarUrl } = stored.account
  const shown = { ...stored.account, avatarUrl: (avatarUrl?.length ?? 0) > maxAvatarUrl ? null : avatarUrl }
  return {
    token: JSON.stringify({ v: 1, ...stored, account: { id, phoneNumber } }),
    account: JSON.stringify({ v: 1, account: shown }),
  }
}

export function tokenOf(stored: StoredState | null): string | null {
  return stored?.is === 'signed_in' ? stored.token : null
}

/** Stays the same when the token is rotated. */
export function sessionIdOf(stored: StoredState | null): string | null {
  return stored?.is === 'signed_in' ? stored.session.id : null
}

/** The facts of one response about a session and its account. */
export interface Facts {
  readonly session?: Session
  readonly account?: Partial<Account>
}

/**
 * Computes the next state from the stored one and the one that this client knows (null: none yet); null:
 * nothing changes.
 */
export type Step = (stored: StoredState, known: StoredState | null) => StoredState | null

/** Begins a new session. Earlier ones must be ended, because no client has their tokens any more. */
export function begin({ token, account, session }: SignedIn & Issued): Step {
  return (stored, known) => ({
    is: 'signed_in',
    token,
    account,
    session,
    rotating: false,
    toEnd: alsoToEnd(stored, known),
  })
}

/** Signs out: earlier sessions must be ended. */
export const leave: Step = (stored, known) => {
  const toEnd = alsoToEnd(stored, known)
  return stored.is === 'signed_in' ? { is: 'signed_out', why: null, toEnd } : { ...stored, toEnd }
}

/**
 * The server has refused `token`. A session with another token stays, and so does an earlier reason. A token
 * that is being rotated may be refused for that: it stays until the new token has arrived, or the rotation is
 * refused (`isLast`).
 */
export function refuse(token: string, why: SignedOut, { isLast = false } = {}): Step {
  return (stored, known) => {
    if (stored.is === 'signed_in' && stored.rotating && !isLast) return stored
    const isStored = tokenOf(stored) === token
    // Another client may have signed out, or the storage was emptied, while this client still had the token.
    const isLost = stored.is === 'signed_out' && stored.why === null && tokenOf(known) === token
    return isStored || isLost ? { is: 'signed_out', why, toEnd: stored.toEnd } : stored
  }
}

/**
 * Updates the session of `token` from a response. Facts of the account that the response does not contain
 * stay.
 */
export function update(token: string, facts: Facts): Step {
  return (stored, known) => {
    if (stored.is !== 'signed_in' || stored.token !== token) return null
    const { session = stored.session, account } = facts
    return { ...stored, session, account: { ...fullerAccount(stored, known), ...account } }
  }
}

/** The stored account, or the one that this client knows where the stored value was lost. */
function fullerAccount({ account }: StoredSession, known: StoredState | null): Account {
  const isLost = account.registeredAt === null && known?.is === 'signed_in' && known.account.id === account.id
  return isLost ? known.account : account
}

/**
 * Another program has changed the storage. An emptied storage does not sign out: the server decides whether
 * the session has ended.
 */
export const follow: Step = (stored, known) => {
  if (stored.is === 'signed_out' && stored.why === null && stored.toEnd.length === 0) return null
  if (stored.is === 'signed_out') return stored
  const isKnownInFull = known?.is === 'signed_in' && known.account.registeredAt !== null
  return isKnownInFull ? { ...stored, account: fullerAccount(stored, known) } : stored
}

/** Another client has received a new token for this client's session. */
export const catchUp: Step = (stored, known) =>
  sessionIdOf(stored) === sessionIdOf(known) && tokenOf(stored) !== tokenOf(known) ? stored : null

/** A rotation of `token` was requested (true), or refused (false). */
export function rotating(token: string, rotating: boolean): Step {
  return (stored) => (stored.is === 'signed_in' && stored.token === token ? { ...stored, rotating } : null)
}

/**
 * The server has issued a new token for the session of `token`. If that was signed out meanwhile, the new
 * token must be ended.
 */
export function succeed(token: string, { token: successor, session }: Issued): Step {
  return (stored) => {
    if (stored.is === 'signed_in' && stored.token === token) {
      return { ...stored, token: successor, session, rotating: false }
    }
    if (!stored.toEnd.includes(token)) return stored
    return { ...stored, toEnd: stored.toEnd.map((other) => (other === token ? successor : other)) }
  }
}

/** The server has ended `token`: it leaves the list, and a storage that still contains it must drop it. */
export function finish(token: string): Step {
  return (stored) => {
    const toEnd = stored.toEnd.filter((other) => other !== token)
    return tokenOf(stored) === token ? { is: 'signed_out', why: null, toEnd } : { ...stored, toEnd }
  }
}

function alsoToEnd(stored: StoredState, known: StoredState | null): readonly string[] {
  const tokens = [...stored.toEnd, tokenOf(stored), tokenOf(known)].filter((token) => token !== null)
  return [...new Set(tokens)].slice(-maxToEnd)
}
