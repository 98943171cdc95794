// The platforms of the apps that sign in.

export const platforms = [
  'ios',
  'android',
  'harmony',
  'mini_program',
  'web',
  'desktop',
  'classic',
  'other',
] as const
export type Platform = (typeof platforms)[number]
