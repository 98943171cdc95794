// The client's own messages for people, in the server's two languages.

const messages = {
  network: {
    zh: '网络不可用，请检查网络后重试',
    en: 'There is no connection; check the network and try again',
  },
  // For developers: an app with this fault is never released.
  origin_refused: {
    zh: '能连上服务器，但浏览器不允许此页面读取响应：服务器的 HUFU_ALLOWED_ORIGINS 中可能没有 {origin}',
    en: 'The server can be reached, but the browser does not let this page read its answers: HUFU_ALLOWED_ORIGINS on the server probably lacks {origin}',
  },
  origin_null: {
    zh: '能连上服务器，但浏览器不允许此页面读取响应：从文件打开的页面没有来源，服务器不接受；请用自己的协议打开页面，见 docs/browsers.md',
    en: 'The server can be reached, but the browser does not let this page read its answers: a page from a file has no origin that a server accepts; load it from a scheme of your own, see docs/browsers.md',
  },
  timeout: {
    zh: '服务器没有及时响应，请稍后再试',
    en: 'The server did not answer in time; try again shortly',
  },
  not_hufu: {
    zh: '收到的响应不是来自 Hufu 服务器，请检查网络（如 Wi-Fi 登录页）或服务器地址',
    en: 'Something else than the Hufu server answered; check the network (a Wi-Fi sign-in page?) or the address',
  },
  // For developers: only the server's own 401 signs out, so the user stays signed in meanwhile.
  reason_replaced: {
    zh: '收到状态码 401，但其中没有 Hufu 的错误码：代理、网关或 Wi-Fi 登录页替换了服务器的响应。登录状态保持不变',
    en: 'A 401 arrived without a code of Hufu: a proxy, a gateway or a Wi-Fi page has replaced the answer. The user stays signed in',
  },
  token_missing: { zh: '请先登录', en: 'Sign in first' },
  storage_lost: {
    zh: '此设备上保存的登录信息已无法读取，请重新登录',
    en: 'The sign-in saved on this device can no longer be read. Please sign in again',
  },
  signed_out: { zh: '已退出登录', en: 'You signed out' },
} as const

/** A sentence in Chinese where `language` begins with "zh", else in English. */
export function say(what: keyof typeof messages, language: string | null): string {
  return /^zh\b/i.test(language ?? '') ? messages[what].zh : messages[what].en
}
