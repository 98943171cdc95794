// The version in package.json, which is one folder above both src/ and dist/.
import { readFileSync } from 'node:fs'

const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')

// This package.json always has a version.
export const { version } = JSON.parse(text) as { version: string }
