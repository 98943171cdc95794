// Between the wire's snake_case and our models: what is sent, and what an answer must look like to be believed.
import type { components, operations } from './api-types.ts'
import type { Account, Session, SignedIn, SignInInput } from './models.ts'

type Wire = components['schemas']
type NewSession = operations['createSession']['requestBody']['content']['application/json']

/** Any JSON object. */
export type Json = Readonly<Record<string, unknown>>

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The body of `POST /v1/sessions`. */
export function newSession({ phoneNumber, password, device }: SignInInput): NewSession {
  const body = { phone_number: phoneNumber, password }
  if (!device) return body
  const { platform, id, name, appVersion } = device
  return {
    ...body,
    device: {
      ...(platform !== undefined && { platform }),
      ...(id !== undefined && { id }),
      ...(name !== undefined && { name }),
      ...(appVersion !== undefined && { app_version: appVersion }),
    },
  }
}

/** Reads the answer of `GET /v1/session`; null where it is something else. */
export function signedInOf(answer: Json | null): SignedIn | null {
  const { account, session } = answer ?? {}
  return isAccount(account) && isSession(session)
    ? { account: accountOf(account), session: sessionOf(session) }
    : null
}

/** Reads the answer of `POST /v1/sessions`; null where it is something else. */
export function issuedOf(answer: Json | null): (SignedIn & { readonly token: string }) | null {
  const signedIn = signedInOf(answer)
  const token = answer?.token
  return signedIn && typeof token === 'string' && token !== '' ? { ...signedIn, token } : null
}

/** Reads the answer of `GET /v1/sessions`; null where it is something else. */
export function sessionsOf(answer: Json | null): readonly Session[] | null {
  const sessions = answer?.sessions
  return Array.isArray(sessions) && sessions.every(isSession) ? sessions.map(sessionOf) : null
}

// What nobody but a Hufu server answers is looked for; the rest is as its document says.
function isAccount(value: unknown): value is Wire['Account'] {
  return isJson(value) && typeof value.id === 'string' && typeof value.phone_number === 'string'
}

function isSession(value: unknown): value is Wire['Session'] {
  return isJson(value) && typeof value.id === 'string' && isJson(value.device)
}

function accountOf({ id, phone_number, nickname }: Wire['Account']): Account {
  return { id, phoneNumber: phone_number, nickname }
}

function sessionOf(session: Wire['Session']): Session {
  const { id, platform, device, ip, current } = session
  return {
    id,
    platform,
    device: { id: device.id, name: device.name, appVersion: device.app_version },
    ip,
    createdAt: session.created_at,
    seenAt: session.seen_at,
    expiresAt: session.expires_at,
    current,
  }
}
