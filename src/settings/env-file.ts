// The file .env: every line is a setting, a comment, empty, or an error that names the line. No line is
// skipped silently.
import { SettingsError } from './setting.ts'

/** Node reads these when it starts, long before this file is read. */
const tooLate = /^(NODE_EXTRA_CA_CERTS|NODE_OPTIONS|NODE_TLS_REJECT_UNAUTHORIZED|UV_THREADPOOL_SIZE|TZ)$/

interface Place {
  readonly path: string
  readonly line: number
}

/**
 * Names and values. Values may be quoted with ', " or `, also over several lines; \n inside " is a line end;
 * # after white space begins a comment.
 * @param known the names of settings, to suggest the right one for a misspelt name
 * @throws SettingsError that names the line, and quotes nothing of it but the name of a setting
 */
export function parseEnvFile(
  path: string,
  bytes: Uint8Array,
  known: readonly string[],
): Record<string, string> {
  const lines = textOf(path, bytes).split(/\r\n|\n|\r/)
  const values: Record<string, string> = {}
  for (let i = 0; i < lines.length; i++) {
    const place = { path, line: i + 1 }
    const line = lines[i] ?? ''
    if (/^[ \t]*(#|$)/.test(line)) continue
    const [, name, rest = ''] = /^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*(.*)$/.exec(line) ?? []
    if (name === undefined) throw notASetting(place, line, known)
    assertName(place, name, known)
    if (name in values)
      throw wrong(
        place,
        `${name} 已经出现过：请删掉其中一行`,
        `${name} was there before: remove one of the lines`,
      )
    const { value, last } = readValue(place, name, rest, lines, i)
    values[name] = value
    i = last
  }
  return values
}

function textOf(path: string, bytes: Uint8Array): string {
  if (bytes.includes(0))
    throw new SettingsError(
      `${path} 是 UTF-16 或二进制文件：请另存为 UTF-8。`,
      `${path} is UTF-16 or binary: save it as UTF-8.`,
    )
  try {
    // A byte order mark at the start, as Notepad writes it, does not belong to the first name.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new SettingsError(`${path} 不是 UTF-8：请另存为 UTF-8。`, `${path} is not UTF-8: save it as UTF-8.`)
  }
}

function wrong({ path, line }: Place, zh: string, en: string): SettingsError {
  return new SettingsError(`${path} 第 ${line} 行：${zh}。`, `Line ${line} of ${path}: ${en}.`)
}

/**
 * A name without its case, width, punctuation and invisible characters: names that look alike give the same
 * text.
 */
function looks(name: string): string {
  return name
    .normalize('NFKC')
    .toUpperCase()
    .replaceAll(/[^A-Z0-9]/g, '')
}

/** The setting that a misspelt name probably means, or null. */
export function meantName(name: string, known: readonly string[]): string | null {
  if (known.includes(name)) return null
  return known.find((one) => looks(one) === looks(name)) ?? null
}

function assertName(place: Place, name: string, known: readonly string[]): void {
  const meant = meantName(name, known)
  if (meant !== null)
    throw wrong(place, `${name} 不是设置，应写作 ${meant}`, `${name} is no setting; write ${meant}`)
  if (tooLate.test(name))
    throw wrong(
      place,
      `${name} 写在这里不起作用：请放到进程的环境变量里`,
      `${name} does nothing here; set it in the environment of the process`,
    )
}

/** The line may hold a secret, so the message quotes only the name of a setting. */
function notASetting(place: Place, line: string, known: readonly string[]): SettingsError {
  const [, text = '', sign] = /^(?:\s*export\s)?([^=:：＝]*)([=:：＝]?)/.exec(line) ?? []
  const [first = ''] = text.trim().split(/[ \t]/)
  const candidates = [text, first]
  const meant = candidates
    .map((candidate) => known.find((one) => looks(one) === looks(candidate)))
    .find((one) => one !== undefined)
  if (meant === undefined)
    return wrong(
      place,
      '不是设置（名称=值），也不是以 # 开头的注释',
      'it is neither a setting (name=value) nor a comment that begins with #',
    )
  if (sign === '=' && looks(text) === looks(meant))
    return wrong(
      place,
      `名称里有多余或看不见的字符，应写作 ${meant}=`,
      `the name has characters that do not belong there, perhaps invisible ones; write ${meant}=`,
    )
  return wrong(
    place,
    `${meant} 后面没有“=”，应写作 ${meant}=值`,
    `there is no "=" after ${meant}; write ${meant}=value`,
  )
}

function readValue(place: Place, name: string, rest: string, lines: readonly string[], first: number) {
  const quote = /^["'`]/.exec(rest)?.[0]
  if (quote === undefined) return { value: unquoted(place, name, rest), last: first }
  let text = rest.slice(1)
  let last = first
  while (!text.includes(quote)) {
    last++
    const next = lines[last]
    if (next === undefined)
      throw wrong(
        place,
        `${name} 的引号没有闭合，应写作 ${name}="值"`,
        `the quote that begins the value of ${name} is not closed; write ${name}="value"`,
      )
    text += `\n${next}`
  }
  const end = text.indexOf(quote)
  if (!/^[ \t]*(#.*)?$/.test(text.slice(end + 1)))
    throw wrong(
      place,
      `${name} 的引号后面还有内容：值里有引号时，请换另一种引号`,
      `there is something behind the closing quote of ${name}; where the value has quotes, take another kind around it`,
    )
  const value = text.slice(0, end)
  return { value: quote === '"' ? value.replaceAll('\\n', '\n') : value, last }
}

/** Programs disagree about a # without white space before it: some end the value there. */
function unquoted(place: Place, name: string, rest: string): string {
  const value = rest.replace(/(^|[ \t]+)#.*$/, '').trim()
  if (/^[“”‘’„«「『＂＇]/.test(value))
    throw wrong(
      place,
      `${name} 的值以“${value[0]}”开头，它不是引号：请用英文引号 "`,
      `the value of ${name} begins with ${value[0]}, which is no quote here; write "`,
    )
  if (!value.includes('#')) return value
  throw wrong(
    place,
    `${name} 的值里有 #：请给整个值加引号，或在注释前加空格`,
    `the value of ${name} has a "#"; put quotes around the value, or white space before a comment`,
  )
}
