// What a setting is; settings.ts has the table of them.

/** What is wrong with a value, in Chinese and in English: each completes a sentence that begins with the setting's name. */
export class WrongValue extends Error {
  readonly zh: string

  constructor(zh: string, en: string) {
    super(en)
    this.zh = zh
  }
}

/** A setting that cannot be used. One sentence, in Chinese and in English, that names the setting. */
export class SettingsError extends Error {
  readonly zh: string

  constructor(zh: string, en: string) {
    super(en)
    this.zh = zh
  }
}

export interface Setting<T> {
  readonly name: `HUFU_${string}`
  readonly default: string
  readonly meaning: string
  /** Its value is never printed, and may come from the file that `<name>_FILE` names. */
  readonly secret?: true
  /** @throws WrongValue */
  parse(text: string): T
}

export function setting<T>(description: Setting<T>): Setting<T> {
  return description
}
