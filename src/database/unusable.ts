// The error of a database that answers but cannot be used in its present state. Its sentence says what to do.

/** Thrown before anything is changed. `message` is English, `zh` is Chinese; both are whole sentences. */
export class UnusableDatabaseError extends Error {
  readonly zh: string

  constructor(zh: string, en: string) {
    super(en)
    this.name = 'UnusableDatabaseError'
    this.zh = zh
  }
}
