// The arguments of the client's methods.
import type { components } from './api-types.ts'
import type { Platform } from './models.ts'

/** The purpose of a code; `sign_in` is for signing up as well. */
export type CodePurpose = components['schemas']['NewCode']['purpose']

/** The device that signs in, as the list of devices shows it. */
export interface NewDevice {
  readonly platform?: Exclude<Platform, 'classic'>
  /** Stays the same on this device. 1 to 128 characters of printable ASCII, no space. */
  readonly id?: string
  /** 1 to 64 characters, for example `iPhone 15`. */
  readonly name?: string
  /** 1 to 32 characters, for example `2.1.0`. */
  readonly appVersion?: string
}

/** A phone number, and either a password or a code that was sent to it. */
export type SignInInput = {
  /** With country code, or as it is dialled in the server's default region. */
  readonly phoneNumber: string
  readonly device?: NewDevice
} & (
  | { readonly password: string; readonly code?: never; readonly nickname?: never }
  | {
      readonly code: string
      readonly password?: never
      /** For the account that this sign-in creates, if there is none yet. */
      readonly nickname?: string
    }
)

export interface SendCodeInput {
  readonly phoneNumber: string
  /**
   * A code is valid for one purpose. `confirm`: for `setPassword` and `changePhone`, sent to the present
   * number.
   */
  readonly purpose: CodePurpose
  /** The server also limits codes by its `id`. */
  readonly device?: NewDevice
}

/** null removes a value; a field that is not given stays. */
export interface AccountChanges {
  readonly nickname?: string | null
  readonly avatarUrl?: string | null
  /** Language tag, for example `zh-CN`. */
  readonly locale?: string | null
}

export type SetPasswordInput = { readonly newPassword: string } & (
  | { readonly currentPassword: string; readonly code?: never }
  | {
      /** A code for `confirm`. */
      readonly code: string
      readonly currentPassword?: never
    }
)

export interface ResetPasswordInput {
  readonly phoneNumber: string
  /** A code for `reset_password`. */
  readonly code: string
  readonly newPassword: string
}

export interface ChangePhoneInput {
  /** The new number. */
  readonly phoneNumber: string
  /** A code for `change_phone`, sent to the new number. */
  readonly code: string
  /** Confirms the owner: a code for `confirm`, sent to the present number, or the password. */
  readonly confirmation: { readonly code: string } | { readonly password: string }
}

export interface CloseAccountInput {
  /** A code for `close_account`. */
  readonly code: string
}
