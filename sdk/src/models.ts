// The client's data types: accounts, sessions, and ends of sessions.
import type { components } from './api-types.ts'

type Wire = components['schemas']

/** The platform of an app. `classic`: an app that uses the older API. */
export type Platform = Wire['Session']['platform']

/**
 * A person's account. Null: no value, or not known to this client yet; responses of sign-ins and checks
 * contain only the first three.
 */
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

/** All data of an account on the server, as the document that the server returns. */
export type AccountExport = Wire['AccountExport']

/** One signed-in app on one device. Times are ISO 8601 UTC text, for `new Date(…)`. */
export interface Session {
  /** Public: it identifies the session and grants no access. */
  readonly id: string
  readonly platform: Platform
  readonly device: {
    readonly id: string | null
    readonly name: string | null
    readonly appVersion: string | null
  }
  /** The IP address of the sign-in. */
  readonly ip: string | null
  readonly createdAt: string
  /** The last use, accurate to a few minutes. */
  readonly seenAt: string
  /** The time of its end, unless it is used before; null: never. */
  readonly expiresAt: string | null
  /** Whether it is the session of this client. */
  readonly current: boolean
}

/** The signed-in account and its session. */
export interface SignedIn {
  readonly account: Account
  readonly session: Session
}

/** The result of a sign-in. */
export interface NewSignIn extends SignedIn {
  /** Whether this sign-in created the account. */
  readonly created: boolean
}

/** The reason inside a code: `replaced` in `session_replaced`. */
type ReasonOf<Code extends string> = Code extends `session_${infer Reason}` ? Reason : never

/**
 * The reason why a session ended; `token_unknown`: the server does not know it, any more or at all;
 * `storage_lost`: the stored state can never be read again, as after a phone was restored without the keys of
 * its key store. A newer server may send a reason that this version does not list, so give a `switch` a
 * default.
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
  /** The device that ended the session; null where it is unknown or was not a device. */
  readonly byDevice: { readonly platform: Platform; readonly name: string | null } | null
  /** One sentence for people, in the client's language. */
  readonly message: string
}
