// Which version this is, as package.json says; it lies one folder above both src/ and dist/.
import { readFileSync } from 'node:fs'

const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')

// Our own package.json always names a version.
export const { version } = JSON.parse(text) as { version: string }
