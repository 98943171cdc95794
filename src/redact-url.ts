// URLs for messages and logs, without their secrets.

/** A URL without its password and its options. It need not be a valid URL. */
export function redactUrl(url: string): string {
  if (url.startsWith('sqlite:')) return url
  return url
    .replace(/[?#][^@]*$/s, '')
    .replace(/^([^:/]*:\/\/)(?:([^:@/?#]*):(?=[^@]))?.*@/s, (_all, scheme: string, user?: string) =>
      user === undefined ? `${scheme}***@` : `${scheme}${user}:***@`,
    )
}
