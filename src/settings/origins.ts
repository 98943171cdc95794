// HUFU_ALLOWED_ORIGINS: the web pages of another origin that may call, written as browsers send it in the
// header `Origin`.
import { WrongValue } from './setting.ts'

/**
 * Exact origins, separated by commas; empty for none.
 * @throws WrongValue that says how to write the first one that no browser sends
 */
export function origins(text: string): readonly string[] {
  const items = text === '' ? [] : text.split(',').map((item) => item.trim())
  for (const item of items) assertOrigin(item)
  return [...new Set(items)]
}

function assertOrigin(text: string): void {
  if (text === '') {
    throw new WrongValue('有一项是空的，请去掉多余的逗号', 'has an empty item: take the comma too many away')
  }
  if (text.includes('*')) {
    throw new WrongValue(
      '不支持通配符，请把每个来源完整地写出来，例如 https://app.example.com',
      'takes no wildcard: write each origin out, for example https://app.example.com',
    )
  }
  // Browsers send `null` for every file, sandboxed frame and data: page, whatever its source.
  if (/^(null$|file:)/i.test(text)) {
    throw new WrongValue(
      `不能包含 ${text}：本地文件页面发送的来源是 null，任何页面都能做到；应用该怎么做见 docs/browsers.md`,
      `cannot contain ${text}: a page from a file sends the origin null, which any page can send; docs/browsers.md says what an app does instead`,
    )
  }
  const right = asSentByBrowsers(text)
  if (right === text) return
  if (right === null) {
    throw new WrongValue(
      `里的 ${text} 不是有效的来源，请写成协议加主机，例如 https://app.example.com、http://localhost:5173 或 capacitor://localhost`,
      `has ${text}, which is no origin: write scheme and host, for example https://app.example.com, http://localhost:5173 or capacitor://localhost`,
    )
  }
  throw new WrongValue(
    `里的 ${text} 与浏览器发送的写法不同，请写成 ${right}`,
    `has ${text}, which browsers send in another form: write ${right}`,
  )
}

/**
 * RFC 6454, section 6.2: scheme and host in lower case, no default port, no path. Null where the text is no
 * origin.
 */
function asSentByBrowsers(text: string): string | null {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/([^/?#\s]+)(?:[/?#]\S*)?$/i.exec(text) ?? []
  if (rest === '') return null
  if (/^https?$/i.test(scheme)) return URL.canParse(text) ? new URL(text).origin : null
  // The schemes of apps have no default port, and WHATWG's URL gives their origin as `null`.
  const host = rest.slice(rest.lastIndexOf('@') + 1)
  return /^[\w.-]+(:\d{1,5})?$/.test(host) ? `${scheme}://${host}`.toLowerCase() : null
}
