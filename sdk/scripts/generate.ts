// Writes src/api-types.ts from the server's OpenAPI document; with --check it only reports whether the file
// is current.
import { readFileSync, writeFileSync } from 'node:fs'
import openapiTS, { astToString } from 'openapi-typescript'
import { openApiDocument } from './document.ts'

const file = new URL('../src/api-types.ts', import.meta.url)
const header = '// The types of the /v1 API, written by `npm run -w sdk generate`: do not edit.\n'

const types = header + astToString(await openapiTS(JSON.stringify(await openApiDocument())))

if (!process.argv.includes('--check')) {
  writeFileSync(file, types)
} else if (types !== readFileSync(file, 'utf8')) {
  console.error('sdk/src/api-types.ts is not what the server says: run `npm run -w sdk generate`.')
  process.exitCode = 1
}
