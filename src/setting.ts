// What a setting is; settings.ts has the table of them.

export interface Setting<T> {
  readonly name: `HUFU_${string}`
  readonly default: string
  readonly meaning: string
  /** Its value is never printed, and may come from the file that `<name>_FILE` names. */
  readonly secret?: true
  /** @throws Error that completes the sentence "HUFU_X …" */
  parse(text: string): T
}

export function setting<T>(description: Setting<T>): Setting<T> {
  return description
}
