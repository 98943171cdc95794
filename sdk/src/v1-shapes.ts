// Shapes of the /v1 API that api-types.ts does not have yet. When the routes are there, each becomes a name for a
// generated type, and this file goes.
import type { components, operations } from './api-types.ts'

type Wire = components['schemas']
type GeneratedNewSession = operations['createSession']['requestBody']['content']['application/json']

/** Routes, by path; `keyof` is what send.ts may ask for. */
export interface V1Paths {
  '/v1/codes': unknown
  '/v1/account': unknown
  '/v1/account/password': unknown
  '/v1/account/phone': unknown
  '/v1/account/export': unknown
  '/v1/password-resets': unknown
  '/v1/session/rotate': unknown
}

/** Codes of refusals. */
export type V1Code = 'rate_limited' | 'code_wrong' | 'sign_up_closed'

/** What a one-time code is good for. */
export type CodePurpose = 'sign_in' | 'reset_password' | 'change_phone' | 'close_account' | 'confirm'

export interface NewCode {
  readonly phone_number: string
  readonly purpose: CodePurpose
}

export type Account = Wire['Account'] & {
  readonly avatar_url?: string | null
  readonly locale?: string | null
  readonly has_password?: boolean
  readonly registered_at?: string
}

export type NewSession = Omit<GeneratedNewSession, 'password'> & {
  readonly nickname?: string
} & ({ readonly password: string } | { readonly code: string })

export interface AccountChanges {
  readonly nickname?: string | null
  readonly avatar_url?: string | null
  readonly locale?: string | null
}

export type NewPassword = { readonly new_password: string } & (
  | { readonly current_password: string }
  | { readonly code: string }
)

export interface PasswordReset {
  readonly phone_number: string
  readonly code: string
  readonly new_password: string
}

export interface NewPhone {
  readonly phone_number: string
  readonly code: string
  readonly confirmation: { readonly code: string } | { readonly password: string }
}

export interface AccountClosing {
  readonly code: string
}
