// Builds the server's OpenAPI document from its code, without listening and without a network or a database.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openServer, openServices } from '../../src/app.ts'
import { readSettings } from '../../src/settings/settings.ts'

/**
 * The document of the surface that apps use. Other surfaces, for operators or back ends, give the SDK no
 * types.
 */
export async function openApiDocument() {
  const folder = mkdtempSync(join(tmpdir(), 'hufu-openapi-'))
  try {
    // Independent of the environment: the document must be the same everywhere.
    const settings = readSettings({ HUFU_DATABASE_URL: `sqlite:${join(folder, 'hufu.db')}` })
    const services = await openServices(settings)
    const log = { isOn: false, request() {}, error() {}, ignoredAddress() {}, foreignProtocol() {} }
    const server = await openServer(services, settings, { log, isStopping: () => false })
    await server.ready()
    const document = await server.described.of('v1')
    await server.close()
    await services.close()
    return document
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
