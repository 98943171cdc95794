// Opens the services for a command that works on the data, brings the schema up to date, and closes them
// again.
import { openServices, type Services } from '../app.ts'
import type { Context } from './context.ts'
import { upgradeDatabase } from './upgrade-database.ts'

/**
 * Brings the schema up to date (a command may come before the first start), opens the services for `work`,
 * and closes them.
 */
export async function withServices<T>(
  context: Context,
  work: (services: Services) => Promise<T>,
): Promise<T> {
  await upgradeDatabase(context)
  const services = await openServices(context.settings)
  try {
    const result = await work(services)
    // The command must finish its own writes: otherwise they would wait for a running server.
    await services.writer.pendingEnds.written()
    return result
  } finally {
    await services.close()
  }
}
