// What createClient gives: every method, what it resolves with, and what it fails with.
import type { Listener } from './listeners.ts'
import type { Account, Session, SignedIn, SignedOut, SignInInput } from './models.ts'

/**
 * What is known at this moment, without asking anybody:
 * - `unknown`: the storage was not read yet, see `ready()`
 * - `signed_in`: with what the server last said of the account and the session, however long ago
 * - `signed_out`: with why, where the server ended the session; null where nobody was signed in, or has signed out
 */
export type ClientState =
  | { readonly is: 'unknown' }
  | { readonly is: 'signed_in'; readonly account: Account; readonly session: Session }
  | { readonly is: 'signed_out'; readonly why: SignedOut | null }

/**
 * A client of one server. Its methods may be passed around without it (`onPress={client.signOut}`).
 *
 * Calls fail with a HufuError, or with what your storage throws. Besides `signOut()`, only the server signs out: by a
 * 401 with `token_unknown` or `session_…`. No network, a time-out, a Wi-Fi sign-in page, 429 and 5xx leave everything
 * as it is.
 * What a call changes is in the storage before its promise resolves and before any listener is told.
 */
export interface HufuClient {
  /** The same object until something changes. */
  readonly state: ClientState

  /**
   * Reads the storage, once, and gives the state; never waits for the network. Call it when the app starts and when it
   * comes back to the foreground: it also tells the server of sign-outs that it could not be told of before.
   */
  ready(): Promise<ClientState>

  /**
   * Signs in. A session that this client had before is ended.
   * Codes: `credentials_wrong`, `phone_number_invalid`, `account_banned`, `session_limit_reached`, `invalid_request`, …
   */
  signIn(input: SignInInput): Promise<SignedIn>

  /** Asks the server who is signed in, and remembers the answer. `token_missing`: nobody is. */
  me(): Promise<SignedIn>

  /** The account's live sessions, oldest first. `token_missing`: nobody is signed in. */
  devices(): Promise<readonly Session[]>

  /**
   * Signs another device out, by its session's id. The own id is `signOut()`.
   * Codes: `session_not_found`, and `token_missing`: nobody is signed in.
   */
  endDevice(id: string): Promise<void>

  /**
   * Signs out: first here, then at the server. Resolves when the server was told or could not be told; in that case
   * the token is kept for this purpose alone, and the server is told later.
   */
  signOut(): Promise<void>

  /** After each sign-in, also one by another client on the same storage. Returns what ends the subscription. */
  onSignedIn(listener: Listener<SignedIn>): () => void

  /** After each end of being signed in, once, whatever ended it. Returns what ends the subscription. */
  onSignedOut(listener: Listener<SignedOut>): () => void
}
