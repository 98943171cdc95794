// Where the token is kept between starts: the contract, and two adapters.

/**
 * A place for small texts: one value, well under 2 KB, which holds the token. Give a secure one where there is one.
 * Each method may answer at once or with a promise. What it throws reaches the caller of the client.
 */
export interface HufuStorage {
  /** The text that was set last; null where there is none. */
  get(key: string): Promise<string | null> | string | null
  /** Resolves when the text will survive the end of the program. */
  set(key: string, value: string): Promise<void> | void
  remove(key: string): Promise<void> | void
}

/** Remembers as long as the program runs. */
export function memoryStorage(): HufuStorage {
  const values = new Map<string, string>()
  return {
    get: (key) => values.get(key) ?? null,
    set: (key, value) => void values.set(key, value),
    remove: (key) => void values.delete(key),
  }
}

/** What `localStorage` and `sessionStorage` look like. */
export interface WebStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

/** Keeps the token in `localStorage`, or in anything of that shape. Every script of the page can read it there. */
export function webStorage(storage: WebStorage): HufuStorage {
  return {
    get: (key) => storage.getItem(key),
    set: (key, value) => storage.setItem(key, value),
    remove: (key) => storage.removeItem(key),
  }
}
