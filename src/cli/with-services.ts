// What a command that works on the data needs: the house opened, its schema up to date, and closed again.
import { openServices, type Services } from '../app.ts'
import type { Context } from './context.ts'
import { upgradeDatabase } from './upgrade-database.ts'

/** Brings the schema up to date (a command may come before the first start), then opens the house for `work`, and closes it. */
export async function withServices<T>(
  context: Context,
  work: (services: Services) => Promise<T>,
): Promise<T> {
  await upgradeDatabase(context)
  const services = await openServices(context.settings)
  try {
    const result = await work(services)
    // The command is done; what is left to write would wait for a server.
    await services.writer.pendingEnds.written()
    return result
  } finally {
    await services.close()
  }
}
