// The last protection of secrets: a driver's error message may quote its URL, so known secrets are removed
// from everything that is printed.

/** Shorter secrets would occur in ordinary words. */
const lengthMin = 6

export type Hide = (text: string) => string

export const hideNothing: Hide = (text) => text

/** Replaces each of these texts by `***`. */
export function hiderOf(secrets: readonly string[]): Hide {
  // Longer secrets come first: one may contain a shorter one.
  const long = [...new Set(secrets)]
    .filter(({ length }) => length >= lengthMin)
    .toSorted((a, b) => b.length - a.length)
  if (long.length === 0) return hideNothing
  return (text) => long.reduce((shown, secret) => shown.replaceAll(secret, '***'), text)
}

/**
 * The parts of a secret setting that must not be shown: the whole value and, where it is a URL, the passwords
 * in it.
 */
export function secretPartsOf(text: string): string[] {
  // A server's address alone is not secret.
  if (/^sqlite:|^[a-z+]*:\/\/[^@?]*$/.test(text)) return []
  const [, userinfo = ''] = /^[^/]*:\/\/(.*)@/s.exec(text) ?? []
  const password = userinfo.replace(/^[^:]*:/, '')
  const inQuery = [...text.matchAll(/[?&][\w-]*password=([^&#]*)/gi)].map(([, value = '']) => value)
  return [text, password, ...inQuery].flatMap((part) => [part, decoded(part)])
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Applies `hide` to every text in a value, at any depth. */
export function hideIn(value: unknown, hide: Hide): unknown {
  if (typeof value === 'string') return hide(value)
  if (Array.isArray(value)) return value.map((item) => hideIn(item, hide))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, hideIn(inner, hide)]))
}
