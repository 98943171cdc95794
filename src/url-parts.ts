// The parts of a URL with a password, parsed so strictly that no part of the password is mistaken for another
// part.
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { WrongValue } from './settings/setting.ts'

export interface UrlParts {
  readonly scheme: string
  /** Percent-encoded; null where there is no "@". */
  readonly userinfo: string | null
  /** One host, or several separated by commas, each with its port. */
  readonly hosts: string
  /** Without the leading "/"; percent-encoded. */
  readonly path: string
  readonly query: string
}

/**
 * URL parsers disagree about a second "@", and end the host at the first "/", "?" or "#": a part of a
 * password would then be printed as a host or a path. So an "@" may occur only once, after the login.
 * @throws WrongValue, or the error of `wrongForm`; neither quotes the URL
 */
export function splitUrl(url: string, wrongForm: () => Error): UrlParts {
  const [, scheme = '', rest] = /^([a-z][a-z+]*):\/\/(.*)$/s.exec(url) ?? []
  if (rest === undefined) throw wrongForm()
  if (!/^(?:[^@/?#]*@)?[^@]*$/s.test(rest)) throw notEncoded()
  // The same for characters that no URL may contain: a client would encode or drop them.
  if (/[^!-~]|["<>\\^`{|}]/.test(/^[^@]*(?=@)/.exec(rest)?.[0] ?? '')) throw notEncoded()
  const found = /^(?:([^@]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/s.exec(rest)
  if (!found) throw wrongForm()
  const [, userinfo = null, hosts = '', path = '', query = ''] = found
  return { scheme, userinfo, hosts, path, query }
}

function notEncoded(): WrongValue {
  return new WrongValue(
    '的用户名或密码里有 @、/、?、# 等特殊字符：请用百分号编码，例如 @ 写成 %40，/ 写成 %2F，? 写成 %3F，# 写成 %23',
    'has special characters in its user name or password: percent-encode them, "@" as %40, "/" as %2F, "?" as %3F, "#" as %23',
  )
}

/** @throws WrongValue where a "%" begins no escape */
export function decodedPart(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new WrongValue(
      '里有一个“%”后面不是两位十六进制数字：请写成 %25',
      'has a "%" with no two hexadecimal digits behind it: write it as %25',
    )
  }
}

/** Names are compared without case, "-" and "_": ssl-mode, sslMode and SSL_MODE are the same option. */
export const plain = (name: string) => name.toLowerCase().replaceAll(/[-_]/g, '')

/**
 * The name and value of an option, percent-encoded.
 * @throws WrongValue where it has no "=": it may be the rest of a password
 */
export function optionParts(pair: string): [name: string, value: string] {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? []
  if (name !== undefined && value !== undefined) return [name, value]
  throw new WrongValue(
    '的“?”后面有一个没有“=”的选项：值里的 & 要写成 %26',
    'has an option without a "=" behind its "?": write an "&" in a value as %26',
  )
}

/** The name of an option as it may be printed. */
export function shown(name: string): string {
  return /^[\w.-]{1,40}$/.test(name) ? name : '…'
}

/** @throws WrongValue that names the option */
export function readPem(name: string, path: string): string {
  try {
    const text = readFileSync(path, 'utf8')
    if (text.includes('-----BEGIN ')) return text
  } catch {}
  throw new WrongValue(
    `的选项 ${shown(name)} 指定的文件无法读取，或不是 PEM`,
    `has the option ${shown(name)}, which names a file that cannot be read or is not PEM`,
  )
}

/** Whether traffic to a host stays on this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || (isIP(host) === 4 ? host.startsWith('127.') : host === '::1')
}
