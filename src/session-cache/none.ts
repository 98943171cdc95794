// No cache, for a database server without Redis: every check reads the database.
import { type CacheEntry, cacheMiss, type Mark, type SessionCache } from './session-cache.ts'

const nothing = async () => {}
const noMark: Mark = { confirm: nothing, settle: nothing }
const noUses: ReadonlyMap<string, number> = new Map()

export class NoSessionCache implements SessionCache {
  dropStale(): void {}

  session(): CacheEntry {
    return cacheMiss
  }

  isValid(): boolean {
    return false
  }

  beginRead(): null {
    return null
  }

  async fill(): Promise<void> {}

  async mark(): Promise<Mark> {
    return noMark
  }

  async noteUses(): Promise<void> {}

  async findUses(): Promise<ReadonlyMap<string, number>> {
    return noUses
  }

  isReachable(): boolean {
    return true
  }

  state(): 'ok' {
    return 'ok'
  }

  async close(): Promise<void> {}
}
