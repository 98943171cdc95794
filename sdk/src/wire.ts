// Between the wire's snake_case and our models: what is sent, and what an answer must look like to be believed.
import type { components } from './api-types.ts'
import type { AccountChanges, NewDevice, SignInInput } from './inputs.ts'
import type { Account, NewSignIn, Session, SignedIn } from './models.ts'
import type * as V1 from './v1-shapes.ts'

type Wire = components['schemas']

/** Any JSON object. */
export type Json = Readonly<Record<string, unknown>>

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The body of `POST /v1/sessions`. */
export function newSession({ phoneNumber, device, ...proof }: SignInInput): V1.NewSession {
  return { phone_number: phoneNumber, ...proof, ...(device && { device: newDevice(device) }) }
}

function newDevice({
  platform,
  id,
  name,
  appVersion,
}: NewDevice): Exclude<V1.NewSession['device'], undefined> {
  return {
    ...(platform !== undefined && { platform }),
    ...(id !== undefined && { id }),
    ...(name !== undefined && { name }),
    ...(appVersion !== undefined && { app_version: appVersion }),
  }
}

/** The body of `PATCH /v1/account`. */
export function accountChanges({ nickname, avatarUrl, locale }: AccountChanges): V1.AccountChanges {
  return {
    ...(nickname !== undefined && { nickname }),
    ...(avatarUrl !== undefined && { avatar_url: avatarUrl }),
    ...(locale !== undefined && { locale }),
  }
}

/** Reads the answer of `GET /v1/session`; null where it is something else. */
export function signedInOf(answer: Json | null): SignedIn | null {
  const { account: wireAccount, session } = answer ?? {}
  const account = accountOf(wireAccount)
  return account && isSession(session) ? { account, session: sessionOf(session) } : null
}

/** A session with the token that proves it. */
export interface Issued {
  readonly token: string
  readonly session: Session
}

/** Reads the answer of `POST /v1/session/rotate`; null where it is something else. */
export function issuedOf(answer: Json | null): Issued | null {
  const { token, session } = answer ?? {}
  return isSession(session) && typeof token === 'string' && token !== ''
    ? { token, session: sessionOf(session) }
    : null
}

/** Reads the answer of `POST /v1/sessions`; null where it is something else. */
export function newSignInOf(answer: Json | null): (NewSignIn & Issued) | null {
  const issued = issuedOf(answer)
  const account = accountOf(answer?.account)
  return issued && account ? { ...issued, account, created: answer?.created === true } : null
}

/** Reads the answer of `GET /v1/sessions`; null where it is something else. */
export function sessionsOf(answer: Json | null): readonly Session[] | null {
  const sessions = answer?.sessions
  return Array.isArray(sessions) && sessions.every(isSession) ? sessions.map(sessionOf) : null
}

/** Reads the answer of `POST /v1/codes`, in seconds; null where it is something else. */
export function sentCodeOf(answer: Json | null): { resendIn: number; expiresIn: number } | null {
  const { resend_in: resendIn, expires_in: expiresIn } = answer ?? {}
  return typeof resendIn === 'number' && typeof expiresIn === 'number' ? { resendIn, expiresIn } : null
}

/** Reads the answer of `DELETE /v1/account`; null where it is something else. */
export function closingOf(answer: Json | null): { closesAt: string } | null {
  const closesAt = answer?.closes_at
  return typeof closesAt === 'string' ? { closesAt } : null
}

/** Any JSON object will do. */
export function jsonOf(answer: Json | null): Json | null {
  return answer
}

/** Reads "done" out of 204, which carries nothing. */
export function nothingOf(answer: Json | null): true | null {
  return answer === null ? true : null
}

/** Reads an account; null where it is something else. */
export function accountOf(value: unknown): Account | null {
  if (!isAccount(value)) return null
  const { id, phone_number, nickname, avatar_url, locale, has_password, registered_at } = value
  return {
    id,
    phoneNumber: phone_number,
    nickname,
    avatarUrl: avatar_url ?? null,
    locale: locale ?? null,
    hasPassword: has_password ?? null,
    registeredAt: registered_at ?? null,
  }
}

// What nobody but a Hufu server answers is looked for; the rest is as its document says.
function isAccount(value: unknown): value is V1.Account {
  return isJson(value) && typeof value.id === 'string' && typeof value.phone_number === 'string'
}

function isSession(value: unknown): value is Wire['Session'] {
  return isJson(value) && typeof value.id === 'string' && isJson(value.device)
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
