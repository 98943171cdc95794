// What app developers see: accounts, sessions, and ends of sessions.
import type { components } from './api-types.ts'

type Wire = components['schemas']

/** What an app runs on. `classic`: an app that speaks the older API. */
export type Platform = Wire['Session']['platform']

/** A person. Null means: none, or not known to this client (yet): sign-ins and checks tell only the first three. */
export interface Account {
  /** UUID. */
  readonly id: string
  /** E.164, for example `+8612345678901`; null: the account has none. */
  readonly phoneNumber: string | null
  readonly nickname: string | null
  readonly avatarUrl: string | null
  /** Language tag, for example `zh-CN`. */
  readonly locale: string | null
  readonly hasPassword: boolean | null
  /** ISO 8601 UTC. */
  readonly registeredAt: string | null
}

/** All that the server has about an account, in its own words: a document to hand over. */
export type AccountExport = Wire['AccountExport']

/** One signed-in app on one device. Times are ISO 8601 UTC text, for `new Date(…)`. */
export interface Session {
  /** Public: it names the session and proves nothing. */
  readonly id: string
  readonly platform: Platform
  readonly device: {
    readonly id: string | null
    readonly name: string | null
    readonly appVersion: string | null
  }
  /** Address of the sign-in. */
  readonly ip: string | null
  readonly createdAt: string
  /** Last use, exact to a few minutes. */
  readonly seenAt: string
  /** When it ends unless it is used before; null: never. */
  readonly expiresAt: string | null
  /** Whether it is the session of this client. */
  readonly current: boolean
}

/** Who is signed in, and by which session. */
export interface SignedIn {
  readonly account: Account
  readonly session: Session
}

/** What a sign-in gives. */
export interface NewSignIn extends SignedIn {
  /** Whether this sign-in has made the account. */
  readonly created: boolean
}

/** The reason inside a code: `replaced` in `session_replaced`. */
type ReasonOf<Code extends string> = Code extends `session_${infer Reason}` ? Reason : never

/**
 * Why a session ended; `token_unknown`: the server does not know it any more, or never did; `storage_lost`: what this
 * device has stored can never be read again, as after a phone was restored without the keys of its key store. A newer
 * server may send a reason that this version does not list, so give a `switch` a default.
 */
export type SignOutReason =
  | Exclude<ReasonOf<Wire['Problem']['code']>, 'not_found' | 'limit_reached'>
  | 'token_unknown'
  | 'storage_lost'

/** The end of a session. */
export interface SignedOut {
  readonly reason: SignOutReason
  /** ISO 8601 UTC. */
  readonly at: string
  /** The device that ended the session; null where it is not known, or was no device. */
  readonly byDevice: { readonly platform: Platform; readonly name: string | null } | null
  /** One sentence for people, in the client's language. */
  readonly message: string
}
