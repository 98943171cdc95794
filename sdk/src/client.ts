// The package: createClient, and all that an app may name of it.
import type { HufuClient } from './contract.ts'
import { type ClientOptions, connectionOf } from './options.ts'
import { SessionClient } from './session-client.ts'
import { memoryStorage } from './storage.ts'

export type { ClientState, HufuClient } from './contract.ts'
export { type FieldProblem, HufuError, type HufuErrorCode, type ServerErrorCode } from './errors.ts'
export type { Listener } from './listeners.ts'
export type {
  Account,
  NewDevice,
  Platform,
  Session,
  SignedIn,
  SignedOut,
  SignInInput,
  SignOutReason,
} from './models.ts'
export type { ClientOptions } from './options.ts'
export type { Clock, Fetch, FetchAnswer, FetchInit } from './runtime.ts'
export { type HufuStorage, memoryStorage, type WebStorage, webStorage } from './storage.ts'

/**
 * A client of the server at `baseUrl`. Nothing is read and nothing is sent before its first call.
 * One storage belongs to one server: the token in it is sent to no other.
 * @throws TypeError for an option that cannot be used
 */
export function createClient(options: ClientOptions): HufuClient {
  return new SessionClient(connectionOf(options), options.storage ?? memoryStorage())
}
