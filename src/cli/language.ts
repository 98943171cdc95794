// The language of messages on the command line.

/** Whether the terminal is set to Chinese (POSIX: LC_ALL before LC_MESSAGES before LANG). */
export function prefersChinese(environment: Readonly<Record<string, string | undefined>>): boolean {
  return /^zh/i.test(environment.LC_ALL || environment.LC_MESSAGES || environment.LANG || '')
}
