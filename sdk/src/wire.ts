// Converts between the wire's snake_case and the client's types: builds requests, and validates responses.
import type { components } from './api-types.ts'
import type { AccountChanges, NewDevice, SignInInput } from './inputs.ts'
import type { Account, AccountExport, NewSignIn, Session } from './models.ts'

type Wire = components['schemas']

/** Any JSON object. */
export type Json = Readonly<Record<string, unknown>>

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The body of `POST /v1/sessions`. */
export function newSession({ phoneNumber, device, ...proof }: SignInInput): Wire['NewSession'] {
  return { phone_number: phoneNumber, ...proof, ...(device && { device: newDevice(device) }) }
}

/** The device of a request. */
export function newDevice({
  platform,
  id,
  name,
  appVersion,
}: NewDevice): Exclude<Wire['NewSession']['device'], undefined> {
  return {
    ...(platform !== undefined && { platform }),
    ...(id !== undefined && { id }),
    ...(name !== undefined && { name }),
    ...(appVersion !== undefined && { app_version: appVersion }),
  }
}

/** The body of `POST /v1/account/update`. */
export function accountChanges({ nickname, avatarUrl, locale }: AccountChanges): Wire['AccountChange'] {
  return {
    ...(nickname !== undefined && { nickname }),
    ...(avatarUrl !== undefined && { avatar_url: avatarUrl }),
    ...(locale !== undefined && { locale }),
  }
}

/** Reads the answer of `GET /v1/session`; null where it is something else. */
export function signedInOf(answer: Json | null): { account: ShortAccount; session: Session } | null {
  const { account: wireAccount, session } = answer ?? {}
  const account = shortAccountOf(wireAccount)
  return account && isSession(session) ? { account, session: sessionOf(session) } : null
}

/** A session with its token. */
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

interface DeviceProof {
  /** null: the server has issued none, because the request contained a valid one. */
  readonly deviceProof: string | null
}

/** Reads the answer of `POST /v1/sessions`; null where it is something else. */
export function newSignInOf(answer: Json | null): (NewSignIn & Issued & DeviceProof) | null {
  const issued = issuedOf(answer)
  const account = shortAccountOf(answer?.account)
  return issued && account
    ? {
        ...issued,
        account: bareAccount(account),
        created: answer?.created === true,
        deviceProof: typeof answer?.device_proof === 'string' ? answer.device_proof : null,
      }
    : null
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

/** Reads the answer of `POST /v1/account/close`; null where it is something else. */
export function closingOf(answer: Json | null): { closesAt: string } | null {
  const closesAt = answer?.closes_at
  return typeof closesAt === 'string' ? { closesAt } : null
}

/** Reads the answer of `GET /v1/account/export`; null where it is something else. */
export function exportOf(answer: Json | null): AccountExport | null {
  return isExport(answer) ? answer : null
}

/** Reads a 204, which has no content. */
export function nothingOf(answer: Json | null): true | null {
  return answer === null ? true : null
}

/** Reads the account in a response; null where it is something else. */
export function accountOf(value: unknown): Account | null {
  if (!isAccount(value)) return null
  const { id, phone_number, nickname, avatar_url, locale, has_password, registered_at } = value
  return {
    id,
    phoneNumber: phone_number,
    nickname,
    avatarUrl: avatar_url,
    locale,
    hasPassword: has_password,
    registeredAt: registered_at,
  }
}

/** The members of the account that the server returns with a session. */
export type ShortAccount = Pick<Account, 'id' | 'phoneNumber' | 'nickname'>

function shortAccountOf(value: unknown): ShortAccount | null {
  if (!isShortAccount(value)) return null
  const { id, phone_number: phoneNumber, nickname } = value
  return { id, phoneNumber, nickname }
}

/** An account without further known members. */
export function bareAccount({ id, phoneNumber, nickname }: ShortAccount): Account {
  return { id, phoneNumber, nickname, avatarUrl: null, locale: null, hasPassword: null, registeredAt: null }
}

// Checks for members that only a Hufu server returns; the others have the types of its document.
function isShortAccount(value: unknown): value is Wire['Account'] {
  return isJson(value) && typeof value.id === 'string' && isTextOrNull(value.phone_number)
}

function isTextOrNull(value: unknown): boolean {
  return value === null || typeof value === 'string'
}

function isAccount(value: unknown): value is Wire['AccountDetails'] {
  return isJson(value) && typeof value.has_password === 'boolean' && isShortAccount(value)
}

function isExport(value: Json | null): value is Json & AccountExport {
  return isAccount(value?.account) && Array.isArray(value?.sessions) && Array.isArray(value?.events)
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
