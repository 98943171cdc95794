// The contract of a client: every method, its result and its errors.
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
 * The state of the client, without a request:
 * - `unknown`: the storage has not been read yet, see `start()`
 * - `signed_in`: with the account and the session as the server last returned them, however long ago;
 *   `verified`: since this client was created
 * - `signed_out`: with the reason, where the server ended the session; `reason` is null where no session was
 *   signed in, or this client has signed out
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
 * Calls fail with a HufuError, or with the error of your storage. Besides the sign-outs below, only the
 * server ends the session: by a 401 with `token_unknown` or `session_…`. A missing network, a time-out, a
 * Wi-Fi sign-in page, 429 and 5xx change nothing. A change is in the storage before the promise of its call
 * resolves and before any listener is called. Listeners are called in the order of the changes, are not
 * awaited, and may call the client.
 */
export interface HufuClient extends SessionCalls, AccountCalls {}

export interface SessionCalls {
  /** The same object until something changes. */
  readonly state: ClientState

  /**
   * Reads the storage once and returns the state; never waits for the network. In the background, it asks the
   * server whether the session is still live, and sends sign-outs that have not reached the server. Call it
   * when the app starts and when it returns to the foreground.
   */
  start(): Promise<ClientState>

  /**
   * Signs in. The client's previous session ends. Codes: `credentials_wrong`, `code_wrong`,
   * `phone_number_invalid`, `account_banned`, `sign_up_closed`, `session_limit_reached`, `rate_limited`,
   * `invalid_request`, …
   */
  signIn(input: SignInInput): Promise<NewSignIn>

  /**
   * Requests the signed-in account and session, and stores them. Concurrent calls share one request.
   * `token_missing`: no session is signed in, as in every call that needs one.
   */
  me(): Promise<SignedIn>

  /** The account's live sessions, oldest first. */
  devices(): Promise<readonly Session[]>

  /**
   * Signs another device out, by its session's id. With this session's id it is the same as `signOut()`.
   * Codes: `session_not_found`.
   */
  endDevice(id: string): Promise<void>

  /** Signs all other devices out. */
  endOtherDevices(): Promise<void>

  /**
   * Gives the session a new token. A request with the old token after the first use of the new one ends the
   * session. A rotation therefore waits for the calls under way, and later calls wait for it; other programs
   * on the same storage (tabs) cannot wait. If the response is lost, the next call first repeats the
   * rotation. Within a minute it gets the same new token; later, the session ends (`token_reused`).
   */
  rotate(): Promise<Session>

  /**
   * Signs out: first on the device, then on the server. Resolves also if the server cannot be reached; the
   * token is then kept for this purpose alone, and the sign-out is sent later.
   */
  signOut(): Promise<void>

  /**
   * Signs all devices out: first on the server, then here. If the server cannot be reached, nothing changes.
   */
  signOutEverywhere(): Promise<void>

  /** Calls the listener after each change of `state`. Returns a function that ends the subscription. */
  subscribe(listener: Listener<ClientState>): () => void

  /**
   * Calls the listener after each sign-in, including those of other clients on the same storage. Returns a
   * function that ends the subscription.
   */
  onSignedIn(listener: Listener<SignedIn>): () => void

  /**
   * Calls the listener once after each sign-out, whatever caused it. Returns a function that ends the
   * subscription.
   */
  onSignedOut(listener: Listener<SignedOut>): () => void
}

/** A code that was sent. */
export interface SentCode {
  /** Counts down to the time when another code may be requested. */
  readonly resendIn: Countdown
  /** Counts down to the end of the code's validity. */
  readonly expiresIn: Countdown
}

export interface AccountCalls {
  /**
   * Sends a code to a phone. Needs no session.
   * Codes: `rate_limited` with `retryAfterSeconds`, `phone_number_invalid`, …
   */
  sendCode(input: SendCodeInput): Promise<SentCode>

  /** Requests the account, and stores it. */
  account(): Promise<Account>

  /** Changes the given fields of the profile. Codes: `invalid_request`, … */
  updateAccount(changes: AccountChanges): Promise<Account>

  /**
   * Sets the first password, or a new one. Codes: `password_refused`, `credentials_wrong`, `code_wrong`, …
   */
  setPassword(input: SetPasswordInput): Promise<void>

  /** Sets a new password by a code. Needs no session. Codes: `password_refused`, `code_wrong`, … */
  resetPassword(input: ResetPasswordInput): Promise<void>

  /** Codes: `code_wrong`, `credentials_wrong`, `phone_number_taken`, `phone_number_invalid`, … */
  changePhone(input: ChangePhoneInput): Promise<Account>

  /** Closes the account, at `closesAt` (ISO 8601 UTC). Codes: `code_wrong`, … */
  closeAccount(input: CloseAccountInput): Promise<{ readonly closesAt: string }>

  /** All data of the account on the server. */
  exportAccount(): Promise<AccountExport>
}
