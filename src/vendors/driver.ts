// A driver: the client of one vendor, with its own settings. A product (text messages today) has a list of
// drivers.
import type { Clock } from '../clock.ts'
import type { Setting, ValuesOf } from '../settings/setting.ts'

/** The settings of one driver by their keys. */
export interface DriverRows {
  readonly [key: string]: Setting<unknown>
}

/** The parts of the program that a driver may use. */
export interface DriverParts {
  readonly clock: Clock
  /** Prints a line for the person that runs the program; for drivers of development. */
  readonly print: (line: string) => Promise<void>
  /** How long the vendor may take to answer; 3 s by default. */
  readonly timeoutMs?: number
}

/** `Client` is the interface that a product sends through. */
export interface Driver<Client> {
  /** The word that selects the driver, and that is part of the names of its settings. */
  readonly name: string
  readonly settings: DriverRows
  /** Keys of the settings that must be set where the driver is selected. */
  readonly required: readonly string[]
  /**
   * Called with the values of the driver's own settings, and only where no required one is missing. It makes
   * no request yet.
   */
  open(settings: ValuesOf<DriverRows>, parts: DriverParts): Client
}

interface DriverWith<Client, Rows extends DriverRows> extends Driver<Client> {
  readonly settings: Rows
  readonly required: readonly (keyof Rows & string)[]
  open(settings: ValuesOf<Rows>, parts: DriverParts): Client
}

/** Declares a driver: its rows give the types of the settings that `open` gets. */
export function driver<Client, Rows extends DriverRows>(one: DriverWith<Client, Rows>): Driver<Client> {
  return one
}

/** The values of all drivers' settings of a product, by the name of the driver. */
type SettingsByDriver = ValuesOf<Readonly<Record<string, DriverRows>>>

/** The drivers of a product. */
export class Drivers<Client> {
  readonly all: readonly Driver<Client>[]

  constructor(...all: Driver<Client>[]) {
    this.all = all
  }

  /** The settings of each driver, by its name: a group of settings. */
  get settings(): Readonly<Record<string, DriverRows>> {
    return Object.fromEntries(this.all.map(({ name, settings }) => [name, settings]))
  }

  /**
   * The variable of the first required setting of these drivers that is not set; null where none is missing.
   */
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
