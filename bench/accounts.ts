// Accounts with a password, for measurements of sign-ins.
import { openServices } from '../src/app.ts'
import { migrate } from '../src/database/migrate.ts'
import { readSettings } from '../src/settings/settings.ts'

export const password = 'correct horse battery'

/** Creates this many accounts and returns their numbers. */
export async function addAccounts(environment: Record<string, string>, count: number): Promise<string[]> {
  const settings = readSettings(environment)
  const services = await openServices(settings)
  try {
    await migrate(services.db, settings.database.location.kind)
    const numbers = Array.from({ length: count }, (_, i) => String(15000000000 + i))
    for (const phoneNumber of numbers)
      await services.accounts.create({ phoneNumber, nickname: null, password })
    return numbers
  } finally {
    await services.close()
  }
}
