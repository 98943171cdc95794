// The types that the README's examples use of platforms that are not dependencies, as in their own
// declarations.
declare module 'expo-secure-store' {
  interface SecureStoreOptions {
    keychainAccessible?: number
  }
  export const AFTER_FIRST_UNLOCK: number
  export function getItemAsync(key: string, options?: SecureStoreOptions): Promise<string | null>
  export function setItemAsync(key: string, value: string, options?: SecureStoreOptions): Promise<void>
  export function deleteItemAsync(key: string, options?: SecureStoreOptions): Promise<void>
}

declare module 'expo-crypto' {
  export function getRandomBytes(byteCount: number): Uint8Array
}

declare module 'react' {
  export function useSyncExternalStore<T>(
    subscribe: (onChange: () => void) => () => void,
    getSnapshot: () => T,
  ): T
}

declare module 'react-native' {
  export const AppState: {
    addEventListener(type: 'change', listener: (state: 'active' | 'background' | 'inactive') => void): object
  }
  export const Platform: { readonly OS: 'ios' | 'android' | 'web' }
}

interface UniRequestOptions {
  url: string
  data?: string | object | ArrayBuffer
  header?: object
  method?: 'OPTIONS' | 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'TRACE' | 'CONNECT'
  timeout?: number
  dataType?: string
  responseType?: string
  success?: (result: { data: string | object | ArrayBuffer; statusCode: number; header: object }) => void
  fail?: (result: { errMsg: string }) => void
  complete?: (result: { errMsg: string }) => void
}

declare const uni: {
  request(options: UniRequestOptions): { abort(): void }
  getStorageSync(key: string): string
  setStorageSync(key: string, value: string): void
  removeStorageSync(key: string): void
  showToast(options: { title: string; icon?: 'none' | 'success' }): void
  reLaunch(options: { url: string }): void
}

declare const wx: {
  getRandomValues(options: {
    length: number
    success: (result: { randomValues: ArrayBuffer }) => void
    fail: (failure: { errMsg: string }) => void
  }): void
}

declare const location: { readonly origin: string }
declare const localStorage: {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}
declare const console: { log(...facts: unknown[]): void; warn(...facts: unknown[]): void }
