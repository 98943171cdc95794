// What is kept on the device: who is signed in or why nobody is, and the tokens that the server has yet to end.
import type { SignedIn, SignedOut } from './models.ts'
import { isJson } from './wire.ts'

/** The oldest is given up when more are waiting; the value has to stay small. */
const maxToEnd = 4

interface ToEnd {
  /** Tokens that were signed out here, but of which the server could not be told. For ending, and nothing else. */
  readonly toEnd: readonly string[]
}

export interface KeptSession extends SignedIn, ToEnd {
  readonly is: 'signed_in'
  readonly token: string
}

export interface KeptEnd extends ToEnd {
  readonly is: 'signed_out'
  readonly why: SignedOut | null
}

export type Kept = KeptSession | KeptEnd

export const nothingKept: Kept = { is: 'signed_out', why: null, toEnd: [] }

/** Reads a stored text. What this version cannot read is as good as nothing. */
export function parseKept(text: string | null): Kept {
  try {
    const value: unknown = JSON.parse(text ?? 'null')
    if (!isJson(value) || value.v !== 1) return nothingKept
    const { v: _, ...kept } = value
    return isKept(kept) ? kept : nothingKept
  } catch {
    return nothingKept
  }
}

// formatKept alone writes version 1: what has these parts has all of them.
function isKept(value: object): value is Kept {
  if (!isJson(value) || !Array.isArray(value.toEnd)) return false
  if (value.is === 'signed_out') return true
  return value.is === 'signed_in' && typeof value.token === 'string' && isJson(value.account)
}

/** The text to store; null where there is nothing to keep. */
export function formatKept(kept: Kept): string | null {
  const isNothing = kept.is === 'signed_out' && kept.why === null && kept.toEnd.length === 0
  return isNothing ? null : JSON.stringify({ v: 1, ...kept })
}

export function tokenOf(kept: Kept | null): string | null {
  return kept?.is === 'signed_in' ? kept.token : null
}

/**
 * A step from what is stored and what this client has known until now (null: nothing yet) to what is kept from now on;
 * null: none of this client's business, everything stays.
 */
export type Step = (stored: Kept, known: Kept | null) => Kept | null

/** A new session. Those from before are to be ended: nobody has their tokens any more. */
export function begin({ token, account, session }: SignedIn & { readonly token: string }): Step {
  return (stored, known) => ({
    is: 'signed_in',
    token,
    account,
    session,
    toEnd: alsoToEnd(stored, known),
  })
}

/** Signed out here: sessions from before are to be ended. */
export const leave: Step = (stored, known) => {
  const toEnd = alsoToEnd(stored, known)
  return stored.is === 'signed_in' ? { is: 'signed_out', why: null, toEnd } : { ...stored, toEnd }
}

/** The server has refused `token`. A session with another token stays, and so does an earlier reason. */
export function refuse(token: string, why: SignedOut): Step {
  return (stored, known) => {
    const isStored = tokenOf(stored) === token
    // Another client may have signed out, or the storage was emptied, while this client still had the token.
    const isLost = stored.is === 'signed_out' && stored.why === null && tokenOf(known) === token
    return isStored || isLost ? { is: 'signed_out', why, toEnd: stored.toEnd } : stored
  }
}

/** What the server says of the session of `token` now. */
export function update(token: string, { account, session }: SignedIn): Step {
  return (stored) =>
    stored.is === 'signed_in' && stored.token === token ? { ...stored, account, session } : null
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
