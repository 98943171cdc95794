// The type of a setting; table.ts lists all settings.

/**
 * The error of a value, in Chinese and in English: each completes a sentence that begins with the setting's
 * name.
 */
export class WrongValue extends Error {
  readonly zh: string

  constructor(zh: string, en: string) {
    super(en)
    this.zh = zh
  }
}

/** An invalid setting. One sentence, in Chinese and in English, that names the setting. */
export class SettingsError extends Error {
  readonly zh: string

  constructor(zh: string, en: string) {
    super(en)
    this.zh = zh
  }
}

/** docs/settings.md and its translation say what each setting means. */
export interface Setting<T> {
  readonly name: `HUFU_${string}`
  readonly default: string
  /** The value is never printed, and may come from the file that `<name>_FILE` names. */
  readonly secret?: true
  /** @throws WrongValue */
  parse(text: string): T
}

export function setting<T>(description: Setting<T>): Setting<T> {
  return description
}

/** Settings by key, and groups of them. */
export interface SettingGroup {
  readonly [key: string]: Setting<unknown> | SettingGroup
}

/** The parsed values of a group of settings. */
export type ValuesOf<Group extends SettingGroup> = {
  readonly [Key in keyof Group]: Group[Key] extends Setting<infer T>
    ? T
    : Group[Key] extends SettingGroup
      ? ValuesOf<Group[Key]>
      : never
}

export function isSetting(node: Setting<unknown> | SettingGroup): node is Setting<unknown> {
  return typeof node.parse === 'function'
}

/** All settings of a group and of its subgroups, in order. */
export function rowsOf(group: SettingGroup): readonly Setting<unknown>[] {
  return Object.values(group).flatMap((inner) => (isSetting(inner) ? [inner] : rowsOf(inner)))
}
