// The list of sign-in methods. Each is a file beside this one; http/v1/sign-in-fields.ts has its fields in a
// request.
import type { Check } from '../../limits/limits.ts'
import { SignInRepeats } from '../repeats.ts'
import { type CodeCredential, CodeMethod, type CodeMethodOptions, codeCheck } from './code.ts'
import type { SignInMethod } from './method.ts'
import {
  type PasswordCredential,
  PasswordMethod,
  type PasswordMethodOptions,
  passwordCheck,
} from './password.ts'

/** The credential that a client presents, by method. */
export interface SignInCredentials {
  readonly password: PasswordCredential
  readonly code: CodeCredential
}

export type MethodName = keyof SignInCredentials

/** Every method. */
export type SignInMethods = { readonly [Name in MethodName]: SignInMethod<SignInCredentials[Name]> }

/** What the methods check, in the order of the table of limits. */
export const signInChecks: readonly Check[] = [codeCheck, passwordCheck]

export type SignInMethodParts = Omit<PasswordMethodOptions & CodeMethodOptions, 'repeats'>

export function signInMethods(parts: SignInMethodParts): SignInMethods {
  const all = { ...parts, repeats: new SignInRepeats(parts.clock) }
  return { password: new PasswordMethod(all), code: new CodeMethod(all) }
}
