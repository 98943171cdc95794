// A driver: the way to one vendor, with the settings of its own. A product (text messages today) has a list of them.
import type { Clock } from '../clock.ts'
import type { Setting, ValuesOf } from '../settings/setting.ts'

/** The settings of one driver by their keys. */
export interface DriverRows {
  readonly [key: string]: Setting<unknown>
}

/** What a driver may use of the program. */
export interface DriverParts {
  readonly clock: Clock
  /** Writes a line for the person who runs the program, for drivers of development. */
  readonly print: (line: string) => Promise<void>
  /** How long the vendor has for an answer; without it 3 s. */
  readonly timeoutMs?: number
}

/** `Client` is what a product sends through. */
export interface Driver<Client> {
  /** The word that selects it, and that stands in the names of its settings. */
  readonly name: string
  readonly settings: DriverRows
  /** Keys of the settings that must be set where the driver is selected. */
  readonly required: readonly string[]
  /** Called with what its own rows have read, and only where nothing required is missing. It asks nobody yet. */
  open(settings: ValuesOf<DriverRows>, parts: DriverParts): Client
}

interface DriverWith<Client, Rows extends DriverRows> extends Driver<Client> {
  readonly settings: Rows
  readonly required: readonly (keyof Rows & string)[]
  open(settings: ValuesOf<Rows>, parts: DriverParts): Client
}

/** Declares a driver: the types of what `open` gets come from its rows. */
export function driver<Client, Rows extends DriverRows>(one: DriverWith<Client, Rows>): Driver<Client> {
  return one
}

/** What the rows of all drivers of a product have read, by the name of the driver. */
type SettingsByDriver = ValuesOf<Readonly<Record<string, DriverRows>>>

/** The drivers of a product. */
export class Drivers<Client> {
  readonly all: readonly Driver<Client>[]

  constructor(...all: Driver<Client>[]) {
    this.all = all
  }

  /** The rows of each, by its name: a group of settings. */
  get settings(): Readonly<Record<string, DriverRows>> {
    return Object.fromEntries(this.all.map(({ name, settings }) => [name, settings]))
  }

  /** The variable of the first setting that is required by one of these drivers and is not set; null where nothing is missing. */
  missingSetting(names: readonly string[], settings: SettingsByDriver): string | null {
    for (const name of names) {
      const { required, settings: rows } = this.#get(name)
      const missing = required.find((key) => isEmpty(settings[name]?.[key]))
      if (missing !== undefined) return rows[missing]?.name ?? missing
    }
    return null
  }

  open(name: string, settings: SettingsByDriver, parts: DriverParts): Client {
    return this.#get(name).open(settings[name] ?? {}, parts)
  }

  #get(name: string): Driver<Client> {
    const found = this.all.find((one) => one.name === name)
    if (found) return found
    throw new TypeError(`there is no driver ${name}`)
  }
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === ''
}
