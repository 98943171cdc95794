import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { databases, type FreshDatabase } from '../../test/support/databases.ts'
import { dialectFor, openDatabase } from '../database/open.ts'
import type { Database } from '../database/schema.ts'
import { getOrCreateKey, keyMaxAgeMs, StoredKey } from './stored-key.ts'

describe.each(databases)('a key in $name', ({ skipped, create }) => {
  const usable = test.skipIf(skipped !== null)
  let fresh: FreshDatabase
  let db: Database

  beforeEach(async () => {
    if (skipped !== null) return
    fresh = await create()
    db = openDatabase(dialectFor(fresh.url, 2))
  })
  afterEach(async () => {
    await db?.destroy()
    await fresh?.drop()
  })

  /** What a restore to a time before the key existed leaves, once another server has made its key. */
  async function replaceKey(): Promise<Buffer> {
    await db.deleteFrom('hufu_server_keys').execute()
    return await getOrCreateKey(db)
  }

  usable('is remembered until `forget`', async () => {
    const key = new StoredKey(db, 'codes', () => 0)
    const first = await key.get()
    const second = await replaceKey()
    expect(await key.get()).toEqual(first)
    key.forget()
    expect(await key.get()).toEqual(second)
    expect(second).not.toEqual(first)
  })

  usable('is read again after a minute', async () => {
    let now = 0
    const key = new StoredKey(db, 'codes', () => now)
    const first = await key.get()
    const second = await replaceKey()
    now = keyMaxAgeMs - 1
    expect(await key.get()).toEqual(first)
    now++
    expect(await key.get()).toEqual(second)
  })

  usable('that is being read at `forget` is not remembered', async () => {
    const key = new StoredKey(db, 'codes', () => 0)
    const reading = key.get()
    key.forget()
    const first = await reading
    const second = await replaceKey()
    expect(await key.get()).toEqual(second)
    expect(second).not.toEqual(first)
  })

  usable('whose reading failed is read by the next call', async () => {
    const key = new StoredKey(db, 'codes', () => 0)
    await db.schema.alterTable('hufu_server_keys').renameTo('away').execute()
    await expect(key.get()).rejects.toThrow()
    await db.schema.alterTable('away').renameTo('hufu_server_keys').execute()
    expect(await key.get()).toEqual(await getOrCreateKey(db))
  })
})
