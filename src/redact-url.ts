// URLs in messages and logs, without what must not be seen.

/** A URL as it may be shown: without its password and its options. Also one that nobody has checked. */
export function redactUrl(url: string): string {
  if (url.startsWith('sqlite:')) return url
  return url
    .replace(/[?#][^@]*$/s, '')
    .replace(/^([^:/]*:\/\/)(?:([^:@/?#]*):(?=[^@]))?.*@/s, (_all, scheme: string, user?: string) =>
      user === undefined ? `${scheme}***@` : `${scheme}${user}:***@`,
    )
}
