// What a command that works on the data needs: the house opened, its schema up to date, and closed again.
import { type House, openHouse } from '../app.ts'
import type { Context } from './run.ts'
import { upgradeDatabase } from './upgrade-database.ts'

/** Brings the schema up to date (a command may come before the first start), then opens the house for `work`, and closes it. */
export async function withHouse<T>(context: Context, work: (house: House) => Promise<T>): Promise<T> {
  await upgradeDatabase(context)
  const house = await openHouse(context.settings)
  try {
    const result = await work(house)
    // The command is done; what is left to write would wait for a server.
    await house.writer.pendingEnds.written()
    return result
  } finally {
    await house.close()
  }
}
