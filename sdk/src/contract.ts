// What createClient gives: every method, what it resolves with, and what it fails with.
import type { Countdown } from './countdown.ts'
import type {
  AccountChanges,
  ChangePhoneInput,
  CloseAccountInput,
  ResetPasswordInput,
  SendCodeInput,
  SetPasswordInput,
  SignInInput,
} from './inputs.ts'
import type { Listener } from './listeners.ts'
import type { Account, AccountExport, NewSignIn, Session, SignedIn, SignedOut } from './models.ts'

/**
 * What is known at this moment, without asking anybody:
 * - `unknown`: the storage was not read yet, see `start()`
 * - `signed_in`: with what the server last said of the account and the session, however long ago; `verified`: it has
 *   said so since this client was made
 * - `signed_out`: with why, where the server ended the session; `reason` null where nobody was signed in, or has signed
 *   out here
 */
export type ClientState =
  | { readonly is: 'unknown' }
  | {
      readonly is: 'signed_in'
      readonly account: Account
      readonly session: Session
      readonly verified: boolean
    }
  | ({ readonly is: 'signed_out' } & SignedOut)
  | {
      readonly is: 'signed_out'
      readonly reason: null
      readonly at: null
      readonly byDevice: null
      readonly message: null
    }

/**
 * A client of one server. Its methods may be passed around without it (`onPress={client.signOut}`).
 *
 * Calls fail with a HufuError, or with what your storage throws. Besides the sign-outs here, only the server signs out:
 * by a 401 with `token_unknown` or `session_…`. No network, a time-out, a Wi-Fi sign-in page, 429 and 5xx leave
 * everything as it is.
 * What a call changes is in the storage before its promise resolves and before any listener is told. Listeners hear of
 * changes in their order, are not waited for, and may call the client.
 */
export interface HufuClient extends SessionCalls, AccountCalls {}

export interface SessionCalls {
  /** The same object until something changes. */
  readonly state: ClientState

  /**
   * Reads the storage, once, and gives the state; never waits for the network. In the background the server is asked
   * whether the session still lives, and told of sign-outs that it could not be told of before. Call it when the app
   * starts and when it comes back to the foreground.
   */
  start(): Promise<ClientState>

  /**
   * Signs in. A session that this client had before is ended.
   * Codes: `credentials_wrong`, `code_wrong`, `phone_number_invalid`, `account_banned`, `sign_up_closed`,
   * `session_limit_reached`, `rate_limited`, `invalid_request`, …
   */
  signIn(input: SignInInput): Promise<NewSignIn>

  /**
   * Asks the server who is signed in, and remembers the answer. Calls at the same time are one request.
   * `token_missing`: nobody is, as in every call that needs a session.
   */
  me(): Promise<SignedIn>

  /** The account's live sessions, oldest first. */
  devices(): Promise<readonly Session[]>

  /** Signs another device out, by its session's id. The own id is `signOut()`. Codes: `session_not_found`. */
  endDevice(id: string): Promise<void>

  /** Signs all other devices out. */
  endOtherDevices(): Promise<void>

  /**
   * Gives the session a new token. The old one ends the session when it is shown after the first use of the new one, so
   * a rotation waits for the calls under way, and calls that come meanwhile wait for it; other programs on the same
   * storage (tabs) cannot wait. Where the answer is lost, the next call asks again before it does anything else, and gets
   * the same new token, if it comes within a minute; later, the session is over (`token_reused`).
   */
  rotate(): Promise<Session>

  /**
   * Signs out: first here, then at the server. Resolves when the server was told or could not be told; in that case
   * the token is kept for this purpose alone, and the server is told later.
   */
  signOut(): Promise<void>

  /** Signs all devices out: first at the server, then here. Where the server cannot be reached, nothing changes. */
  signOutEverywhere(): Promise<void>

  /** After each change of `state`. Returns what ends the subscription. */
  subscribe(listener: Listener<ClientState>): () => void

  /** After each sign-in, also one by another client on the same storage. Returns what ends the subscription. */
  onSignedIn(listener: Listener<SignedIn>): () => void

  /** After each end of being signed in, once, whatever ended it. Returns what ends the subscription. */
  onSignedOut(listener: Listener<SignedOut>): () => void
}

/** A code that is on its way. */
export interface SentCode {
  /** When another one may be asked for. */
  readonly resendIn: Countdown
  /** How long it is good for. */
  readonly expiresIn: Countdown
}

export interface AccountCalls {
  /**
   * Sends a code to a phone. Needs no session.
   * Codes: `rate_limited` with `retryAfterSeconds`, `phone_number_invalid`, …
   */
  sendCode(input: SendCodeInput): Promise<SentCode>

  /** Asks the server for the account, and remembers the answer. */
  account(): Promise<Account>

  /** Changes what is named. Codes: `invalid_request`, … */
  updateAccount(changes: AccountChanges): Promise<Account>

  /** Sets the first password, or a new one. Codes: `password_refused`, `credentials_wrong`, `code_wrong`, … */
  setPassword(input: SetPasswordInput): Promise<void>

  /** Sets a new password for whoever has the phone. Needs no session. Codes: `password_refused`, `code_wrong`, … */
  resetPassword(input: ResetPasswordInput): Promise<void>

  /** Codes: `code_wrong`, `credentials_wrong`, `phone_number_taken`, `phone_number_invalid`, … */
  changePhone(input: ChangePhoneInput): Promise<Account>

  /** Closes the account, at `closesAt` (ISO 8601 UTC). Codes: `code_wrong`, … */
  closeAccount(input: CloseAccountInput): Promise<{ readonly closesAt: string }>

  /** All that the server has about the account. */
  exportAccount(): Promise<AccountExport>
}
