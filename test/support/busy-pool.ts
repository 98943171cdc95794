// A connection pool without a free connection.
import type { Kysely } from 'kysely'

/**
 * Takes every connection of a pool of this size.
 * @returns a function that gives them back
 */
export async function keepBusy<T>(db: Kysely<T>, size: number): Promise<() => Promise<void>> {
  const release = Promise.withResolvers<void>()
  const taken = Array.from({ length: size }, () => Promise.withResolvers<void>())
  const holders = taken.map(({ resolve }) =>
    db.connection().execute(async () => {
      resolve()
      await release.promise
    }),
  )
  await Promise.all(taken.map(({ promise }) => promise))
  return async () => {
    release.resolve()
    await Promise.all(holders)
  }
}
