// What a code permits.

export const purposes = ['sign_in', 'reset_password', 'change_phone', 'close_account', 'confirm'] as const
export type Purpose = (typeof purposes)[number]
