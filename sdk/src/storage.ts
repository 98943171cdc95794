// Where the token is kept between starts: the contract, and adapters.
import { onStorageEvent } from './runtime.ts'

/**
 * A place for small texts: `hufu` holds the token, `hufu.account` what is shown of the account while there is no network;
 * each well under 2 KB. Give a secure one where there is one. Each method may answer at once or with a promise. What it
 * throws reaches the caller of the client, or `onTrouble`; it signs nobody out.
 */
export interface HufuStorage {
  /** The text that was set last; null where there is none. */
  get(key: string): Promise<string | null> | string | null
  /** Resolves when the text will survive the end of the program. */
  set(key: string, value: string): Promise<void> | void
  remove(key: string): Promise<void> | void
  /** Calls `onChange` after another program, for example another tab, has changed what is stored. */
  watch?(onChange: () => void): void
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

/**
 * Keeps the token in `localStorage`, or in anything of that shape. Every script of the page can read it there. What
 * another tab does is noticed at once.
 */
export function webStorage(storage: WebStorage): HufuStorage {
  return {
    get: (key) => storage.getItem(key),
    set: (key, value) => storage.setItem(key, value),
    remove: (key) => storage.removeItem(key),
    watch: (onChange) => onStorageEvent(storage, onChange),
  }
}

/** What `expo-secure-store` looks like. */
export interface SecureStore<Options> {
  getItemAsync(key: string, options?: Options): Promise<string | null>
  setItemAsync(key: string, value: string, options?: Options): Promise<void>
  deleteItemAsync(key: string, options?: Options): Promise<void>
}

/**
 * Keeps the token in `expo-secure-store`, or in anything of that shape: values below 2 KB, keys of letters, digits and
 * `._-` only.
 * @param options passed with each call, for example `{ keychainAccessible: SecureStore.AFTER_FIRST_UNLOCK }`
 */
export function secureStorage<Options>(store: SecureStore<Options>, options?: Options): HufuStorage {
  return {
    get: (key) => store.getItemAsync(key, options),
    set: (key, value) => store.setItemAsync(key, value, options),
    remove: (key) => store.deleteItemAsync(key, options),
  }
}
