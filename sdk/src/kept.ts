// What is kept on the device: who is signed in or why nobody is, and the tokens that the server has yet to end.
import type { Account, Session, SignedIn, SignedOut } from './models.ts'
import { bareAccount, type Issued, isJson } from './wire.ts'

/** The oldest is given up when more are waiting; the value has to stay small. */
const maxToEnd = 4

/** A longer one is not kept, and there again after the next `account()`. The server takes none that is longer. */
const maxAvatarUrl = 512

interface ToEnd {
  /** Tokens that were signed out here, but of which the server could not be told. For ending, and nothing else. */
  readonly toEnd: readonly string[]
}

export interface KeptSession extends SignedIn, ToEnd {
  readonly is: 'signed_in'
  readonly token: string
  /** The server was asked for a successor of the token, and its answer is not here yet. */
  readonly rotating: boolean
}

interface KeptEnd extends ToEnd {
  readonly is: 'signed_out'
  readonly why: SignedOut | null
}

export type Kept = KeptSession | KeptEnd

export const nothingKept: Kept = { is: 'signed_out', why: null, toEnd: [] }

/**
 * The texts to store; null where there is nothing to keep. The token stands with the account's id and number, by which
 * the rest of the account, which only fills screens, is known again in a value of its own.
 */
export interface KeptTexts {
  readonly token: string | null
  readonly account: string | null
}

/** Reads stored texts. What this version cannot read is as good as nothing. */
export function parseKept(texts: KeptTexts): Kept {
  const kept = parse(texts.token)
  if (!isKept(kept)) return nothingKept
  if (kept.is === 'signed_out') return kept
  const account = parse(texts.account)?.account
  const { id, phoneNumber } = kept.account
  return {
    ...kept,
    account: isAccountOf(id, account) ? account : bareAccount({ id, phoneNumber, nickname: null }),
  }
}

function parse(text: string | null): Readonly<Record<string, unknown>> | null {
  try {
    let value: unknown = JSON.parse(text || 'null')
    // A storage that writes JSON but does not parse it gives a text within a text.
    if (typeof value === 'string') value = JSON.parse(value)
    if (!isJson(value) || value.v !== 1) return null
    const { v: _, ...rest } = value
    return rest
  } catch {
    return null
  }
}

// formatKept alone writes version 1: what has these parts has all of them.
function isKept(value: object | null): value is Kept {
  if (!isJson(value) || !Array.isArray(value.toEnd)) return false
  if (value.is === 'signed_out') return true
  const { is, token, account, session } = value
  return is === 'signed_in' && typeof token === 'string' && isJson(account) && isJson(session)
}

function isAccountOf(id: string, value: unknown): value is Account {
  return isJson(value) && value.id === id
}

export function formatKept(kept: Kept): KeptTexts {
  const isNothing = kept.is === 'signed_out' && kept.why === null && kept.toEnd.length === 0
  if (isNothing) return { token: null, account: null }
  if (kept.is === 'signed_out') return { token: JSON.stringify({ v: 1, ...kept }), account: null }
  const { id, phoneNumber, avatarUrl } = kept.account
  const shown = { ...kept.account, avatarUrl: (avatarUrl?.length ?? 0) > maxAvatarUrl ? null : avatarUrl }
  return {
    token: JSON.stringify({ v: 1, ...kept, account: { id, phoneNumber } }),
    account: JSON.stringify({ v: 1, account: shown }),
  }
}

export function tokenOf(kept: Kept | null): string | null {
  return kept?.is === 'signed_in' ? kept.token : null
}

/** Stays the same when a token is succeeded by another. */
export function sessionIdOf(kept: Kept | null): string | null {
  return kept?.is === 'signed_in' ? kept.session.id : null
}

/** What one answer says of a session and its account. */
export interface Facts {
  readonly session?: Session
  readonly account?: Partial<Account>
}

/**
 * A step from what is stored and what this client has known until now (null: nothing yet) to what is kept from now on;
 * null: none of this client's business, everything stays.
 */
export type Step = (stored: Kept, known: Kept | null) => Kept | null

/** A new session. Those from before are to be ended: nobody has their tokens any more. */
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

/** Signed out here: sessions from before are to be ended. */
export const leave: Step = (stored, known) => {
  const toEnd = alsoToEnd(stored, known)
  return stored.is === 'signed_in' ? { is: 'signed_out', why: null, toEnd } : { ...stored, toEnd }
}

/**
 * The server has refused `token`. A session with another token stays, and so does an earlier reason. A token that is
 * being succeeded may be refused for that: it stays until the successor is here, or is refused itself (`isLast`).
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

/** What the server says of the session of `token` now. What it does not say of the account stays as it is known. */
export function update(token: string, facts: Facts): Step {
  return (stored, known) => {
    if (stored.is !== 'signed_in' || stored.token !== token) return null
    const { session = stored.session, account } = facts
    return { ...stored, session, account: { ...fullerAccount(stored, known), ...account } }
  }
}

/** The stored account; what this client knows of it where its value in the storage was lost. */
function fullerAccount({ account }: KeptSession, known: Kept | null): Account {
  const isLost = account.registeredAt === null && known?.is === 'signed_in' && known.account.id === account.id
  return isLost ? known.account : account
}

/**
 * Another program has changed what is stored. Where it has emptied the storage, nobody is signed out for that: the server
 * knows whether the session is over.
 */
export const follow: Step = (stored, known) => {
  if (stored.is === 'signed_out' && stored.why === null && stored.toEnd.length === 0) return null
  if (stored.is === 'signed_out') return stored
  const isKnownInFull = known?.is === 'signed_in' && known.account.registeredAt !== null
  return isKnownInFull ? { ...stored, account: fullerAccount(stored, known) } : stored
}

/** Another client has got a new token for the session that this one knows. */
export const catchUp: Step = (stored, known) =>
  sessionIdOf(stored) === sessionIdOf(known) && tokenOf(stored) !== tokenOf(known) ? stored : null

/** The server is asked for a successor of `token` (true), or has refused to give one (false). */
export function rotating(token: string, rotating: boolean): Step {
  return (stored) => (stored.is === 'signed_in' && stored.token === token ? { ...stored, rotating } : null)
}

/** The server has given the session of `token` a new one. Where that was signed out meanwhile, the new one is to be ended. */
export function succeed(token: string, { token: successor, session }: Issued): Step {
  return (stored) => {
    if (stored.is === 'signed_in' && stored.token === token) {
      return { ...stored, token: successor, session, rotating: false }
    }
    if (!stored.toEnd.includes(token)) return stored
    return { ...stored, toEnd: stored.toEnd.map((other) => (other === token ? successor : other)) }
  }
}

/** The server has ended `token`: it waits no more, and a storage that could not let go of it has to. */
export function finish(token: string): Step {
  return (stored) => {
    const toEnd = stored.toEnd.filter((other) => other !== token)
    return tokenOf(stored) === token ? { is: 'signed_out', why: null, toEnd } : { ...stored, toEnd }
  }
}

function alsoToEnd(stored: Kept, known: Kept | null): readonly string[] {
  const tokens = [...stored.toEnd, tokenOf(stored), tokenOf(known)].filter((token) => token !== null)
  return [...new Set(tokens)].slice(-maxToEnd)
}
