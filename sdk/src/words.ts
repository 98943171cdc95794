// What the client itself has to say to people, in the two languages that the server speaks.

const words = {
  network: {
    zh: '网络不可用，请检查网络后重试',
    en: 'There is no connection; check the network and try again',
  },
  timeout: {
    zh: '服务器没有及时回应，请稍后再试',
    en: 'The server did not answer in time; try again shortly',
  },
  not_hufu: {
    zh: '回应的不是 Hufu 服务器，请检查网络（如 Wi-Fi 登录页）或服务器地址',
    en: 'Something else than the Hufu server answered; check the network (a Wi-Fi sign-in page?) or the address',
  },
  token_missing: { zh: '请先登录', en: 'Sign in first' },
  storage_lost: {
    zh: '此设备上保存的登录信息已无法读取，请重新登录',
    en: 'The sign-in saved on this device can no longer be read. Please sign in again',
  },
  signed_out: { zh: '已退出登录', en: 'You signed out' },
} as const

/** A sentence in Chinese where `language` begins with "zh", else in English. */
export function say(what: keyof typeof words, language: string | null): string {
  return /^zh\b/i.test(language ?? '') ? words[what].zh : words[what].en
}
