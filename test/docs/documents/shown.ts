// Compares a program's output with a document: ids, tokens, times and versions differ each time.

/** Placeholders of a document with their patterns. The first that matches counts. */
const changing: readonly (readonly [shown: RegExp, real: string])[] = [
  [/hf_\w+…/, 'hf_[\\w-]{65}'],
  [/hp_\w+…/, 'hp_[\\w-]{43}'],
  [/\{ … \}/, '\\{.*\\}'],
  [/, … ,/, ',.*,'],
  [/…/, '.*'],
  [/\d{4}-\d\d-\d\dT[\d:.]+Z/, '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z'],
  [/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/, '\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d'],
  [/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/, '[\\da-f]{8}(?:-[\\da-f]{4}){3}-[\\da-f]{12}'],
  [/\$argon2id\$(v=\d+\$m=\d+,t=\d+,p=\d+)\$\S+/, '\\$argon2id\\$v=\\d+\\$m=\\d+,t=\\d+,p=\\d+\\$\\S+'],
  [/(?<![\w-])AaIE[\w-]{18}(?![\w-])/, '[\\w-]{22}'],
  [/(?<![\w-])[\w-]{43}(?![\w-])/, '[\\w-]{43}'],
  [/"request_id":"[^"]+"/, '"request_id":"[^"]+"'],
  [/\(sqlite \d+\.\d+\.\d+\)/, '\\(sqlite \\d+\\.\\d+\\.\\d+\\)'],
  [/\d+ MiB/, '\\d+ MiB'],
  [/\(\d+\.\d+\.\d+,/, '\\(\\d+\\.\\d+\\.\\d+,'],
  [/-?\d+ (?:ms|毫秒)/, '-?\\d+ (?:ms|毫秒)'],
  [/\(integer\) \d+/, '\\(integer\\) \\d+'],
  [/-{4,}/, '-{4,}'],
  [/ {2,}/, ' +'],
]

/** A pattern for exactly this text. */
export const literally = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')

const anyOfThem = new RegExp(changing.map(([shown]) => shown.source).join('|'), 'g')

/** A pattern for one line of a document. */
function patternOf(line: string): string {
  let pattern = ''
  let end = 0
  for (const { 0: part, index } of line.matchAll(anyOfThem)) {
    const [, real = ''] = changing.find(([shown]) => new RegExp(`^(?:${shown.source})$`).test(part)) ?? []
    pattern += literally(line.slice(end, index)) + (real || literally(part))
    end = index + part.length
  }
  return pattern + literally(line.slice(end))
}

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '')

/**
 * The first difference between the document and the output, without empty lines; null where there is none.
 */
export function differenceFrom(shown: string, printed: string): string | null {
  const [expected, real] = [linesOf(shown), linesOf(printed)]
  for (const [index, line] of expected.entries()) {
    const got = real[index]
    // A column may end with spaces.
    if (got === undefined || !new RegExp(`^${patternOf(line.trimEnd())}\\s*$`).test(got))
      return `the document shows\n${line}\nand the program printed\n${got ?? '(nothing)'}\nof\n${printed}`
  }
  return real.length > expected.length ? `not shown: ${real[expected.length]}` : null
}

/** Names of members at every depth: of the first item for a list, none for other values. */
export function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return [shapeOf(value[0])]
  if (typeof value !== 'object' || value === null) return null
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shapeOf(inner)]))
}
