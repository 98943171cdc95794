/** Finds the installed database servers, also where Debian installs them outside of PATH. */

import { accessSync, constants, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** A server is not installed; the message names its package. */
export class MissingBinary extends Error {}

/** The first of the names that is installed, as an absolute path; throws MissingBinary. */
export function getBinary(names: readonly [string, ...string[]], debianPackage: string): string {
  const found = findBinary(names)
  if (found === null)
    throw new MissingBinary(`${names[0]} not found (Debian: apt-get install ${debianPackage})`)
  return found
}

/** The first of the names that is installed, as an absolute path, or null. */
export function findBinary(names: readonly string[]): string | null {
  const places = searchPlaces()
  const candidates = names.flatMap((name) => places.map((place) => join(place, name)))
  return candidates.find(isExecutable) ?? null
}

function searchPlaces(): string[] {
  const path = (process.env.PATH ?? '').split(delimiter).filter((place) => place !== '')
  return [...path, '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', ...postgresPlaces()]
}

/** `/usr/lib/postgresql/17/bin` and the like, newest first. */
function postgresPlaces(): string[] {
  const root = '/usr/lib/postgresql'
  try {
    const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a))
    return versions.map((version) => join(root, version, 'bin'))
  } catch {
    return []
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * The reason why tests that need a program are skipped, or null. Prints it if the program is missing; with
 * CI=true that is an error.
 */
export function whyMissing(names: readonly [string, ...string[]], debianPackage: string): string | null {
  try {
    getBinary(names, debianPackage)
    return null
  } catch (error) {
    if (!(error instanceof MissingBinary) || process.env.CI === 'true') throw error
    console.warn(`skipped: ${error.message}`)
    return error.message
  }
}
