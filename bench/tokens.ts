// Many live sessions for a measurement.
import { openServices, type Services } from '../src/app.ts'
import { migrate } from '../src/database/migrate.ts'
import { noOrigin } from '../src/events/events.ts'
import { admitKnown } from '../src/sessions/sessions.ts'
import { readSettings } from '../src/settings/settings.ts'

/** Live sessions of as many accounts, created by the domain directly, without hashing passwords. */
export async function issueTokens(environment: Record<string, string>, count: number): Promise<string[]> {
  const settings = readSettings(environment)
  const services = await openServices(settings)
  try {
    await migrate(services.db, settings.database.location.kind)
    // Many at once, because a database server commits them to its disk together.
    const tokens: string[] = []
    let next = 0
    const issueOn = async () => {
      while (next < count) {
        const i = next++
        tokens[i] = await issueToken(services, String(13000000000 + i))
      }
    }
    await Promise.all(Array.from({ length: 32 }, issueOn))
    return tokens
  } finally {
    await services.close()
  }
}

/** A service key that may introspect tokens. */
export async function issueKey(environment: Record<string, string>): Promise<string> {
  const services = await openServices(readSettings(environment))
  try {
    const rights = { scopes: ['introspect'], networks: [], expiresAt: null } as const
    const { text } = await services.keys.create({ name: 'bench', ...rights }, { by: null, origin: noOrigin })
    return text
  } finally {
    await services.close()
  }
}

async function issueToken(services: Services, phoneNumber: string): Promise<string> {
  const account = await services.accounts.create({ phoneNumber, nickname: '测试用户1', password: null })
  const device = {
    platform: 'classic',
    deviceId: null,
    deviceName: null,
    appVersion: null,
    ip: '127.0.0.1',
  } as const
  const admit = admitKnown(account.id)
  const issued = await services.sessions.issue({ device, origin: noOrigin, method: 'given', admit })
  if (!issued) throw new Error(`no session for ${phoneNumber}`)
  return issued.token
}
