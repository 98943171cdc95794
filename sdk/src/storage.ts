// Storages of the token between starts: the contract, and adapters.
import { onStorageEvent } from './runtime.ts'

/**
 * A storage of small texts: `hufu` holds the token, `hufu.account` the account's data for display without a
 * network; each well under 2 KB. Pass a secure one where there is one. Each method may return a value or a
 * promise. Its errors reach the caller of the client, or `onBackgroundError`; they do not sign out.
 */
export interface HufuStorage {
  /** The text that was last set; null where there is none. */
  get(key: string): Promise<string | null> | string | null
  /** Resolves when the text survives the end of the program. */
  set(key: string, value: string): Promise<void> | void
  remove(key: string): Promise<void> | void
  /** Calls `onChange` after another program, for example another tab, has changed what is stored. */
  watch?(onChange: () => void): void
}

/** Stores as long as the program runs. */
export function memoryStorage(): HufuStorage {
  const values = new Map<string, string>()
  return {
    get: (key) => values.get(key) ?? null,
    set: (key, value) => void values.set(key, value),
    remove: (key) => void values.delete(key),
  }
}

/** The interface of `localStorage` and `sessionStorage`. */
export interface WebStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

/**
 * Stores the token in `localStorage`, or in an object with the same interface. Every script of the page can
 * read it there. Changes by other tabs are noticed at once.
 */
export function webStorage(storage: WebStorage): HufuStorage {
  return {
    get: (key) => storage.getItem(key),
    set: (key, value) => storage.setItem(key, value),
    remove: (key) => storage.removeItem(key),
    watch: (onChange) => onStorageEvent(storage, onChange),
  }
}

/** The interface of `expo-secure-store`. */
export interface SecureStore<Options> {
  getItemAsync(key: string, options?: Options): Promise<string | null>
  setItemAsync(key: string, value: string, options?: Options): Promise<void>
  deleteItemAsync(key: string, options?: Options): Promise<void>
}

/**
 * Stores the token in `expo-secure-store`, or in an object with the same interface: values below 2 KB, keys
 * of letters, digits and `._-` only.
 * @param options passed with each call, for example `{ keychainAccessible: SecureStore.AFTER_FIRST_UNLOCK }`
 */
export function secureStorage<Options>(store: SecureStore<Options>, options?: Options): HufuStorage {
  return {
    get: (key) => store.getItemAsync(key, options),
    set: (key, value) => store.setItemAsync(key, value, options),
    remove: (key) => store.deleteItemAsync(key, options),
  }
}
