// A database that answers but cannot be used as it is, told in one sentence that says what to do.

/** Thrown before anything is changed. `message` is English, `zh` Chinese; both are whole sentences. */
export class UnusableDatabaseError extends Error {
  readonly zh: string

  constructor(zh: string, en: string) {
    super(en)
    this.name = 'UnusableDatabaseError'
    this.zh = zh
  }
}
