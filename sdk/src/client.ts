// The package: createClient, and its public types.
import { accountCalls } from './account-client.ts'
import type { HufuClient } from './contract.ts'
import { type ClientOptions, connectionOf } from './options.ts'
import { SessionClient } from './session-client.ts'
import { memoryStorage } from './storage.ts'

export type { AccountCalls, ClientState, HufuClient, SentCode, SessionCalls } from './contract.ts'
export { type Countdown, countdown } from './countdown.ts'
export { type FieldProblem, HufuError, type HufuErrorCode, type ServerErrorCode } from './errors.ts'
export type {
  AccountChanges,
  ChangePhoneInput,
  CloseAccountInput,
  CodePurpose,
  NewDevice,
  ResetPasswordInput,
  SendCodeInput,
  SetPasswordInput,
  SignInInput,
} from './inputs.ts'
export type { Listener } from './listeners.ts'
export type {
  Account,
  AccountExport,
  NewSignIn,
  Platform,
  Session,
  SignedIn,
  SignedOut,
  SignOutReason,
} from './models.ts'
export type { ClientOptions } from './options.ts'
export type { Clock, Fetch, FetchAnswer, FetchInit } from './runtime.ts'
export type { RandomBytes } from './sign-ins.ts'
export {
  type HufuStorage,
  memoryStorage,
  type SecureStore,
  secureStorage,
  type WebStorage,
  webStorage,
} from './storage.ts'
export type {
  Exchange,
  Transport,
  TransportAnswer,
  TransportRequest,
} from './transport.ts'
export { fetchTransport } from './transport-fetch.ts'
export {
  type PlatformRequest,
  type RequestOptions,
  type RequestResult,
  requestTransport,
} from './transport-request.ts'

/**
 * A client of the server at `baseUrl`. It reads nothing and sends nothing before its first call. One storage
 * belongs to one server: the token in it is sent to no other.
 * @throws TypeError for an option that cannot be used
 */
export function createClient(options: ClientOptions): HufuClient {
  const sessions = new SessionClient(connectionOf(options), options.storage ?? memoryStorage())
  return Object.assign(sessions, accountCalls(SessionClient.requestsOf(sessions), sessions.me))
}
