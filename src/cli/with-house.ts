// What a command that works on the data needs: the house opened, its schema up to date, and closed again.
import { type House, openHouse } from '../app.ts'
import { migrate } from '../db/migrate.ts'
import type { Context } from './run.ts'

/** Opens the house, brings the schema up to date (so that a command may come before the first start), and closes it. */
export async function withHouse<T>({ settings }: Context, work: (house: House) => Promise<T>): Promise<T> {
  const house = await openHouse(settings)
  try {
    await migrate(house.db, settings.database.kind)
    return await work(house)
  } finally {
    await house.close()
  }
}
