// The tools that build apps, installed in sdk/consumers without a workspace, so that the project's npm ci
// stays small.
import { execFile } from 'node:child_process'
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

export const consumers = fileURLToPath(new URL('../consumers', import.meta.url))

/**
 * Installs them where they are missing or outdated.
 * @returns why that is impossible, or null; with CI=true that is an error
 */
export async function installConsumers(): Promise<string | null> {
  if (areInstalled()) return null
  process.stderr.write('Installing the tools that apps are built with: npm ci --prefix sdk/consumers\n')
  try {
    const options = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']
    await run('npm', ['ci', '--workspaces=false', ...options], { cwd: consumers, timeout: 500_000 })
    return null
  } catch (error) {
    const why = `npm ci --prefix sdk/consumers failed, so that no app is built with the packed SDK: ${error}`
    if (process.env.CI === 'true') throw new Error(why)
    process.stderr.write(`${why}\n`)
    return why
  }
}

/** npm writes its hidden lock file last. */
function areInstalled(): boolean {
  try {
    const installedAt = statSync(`${consumers}/node_modules/.package-lock.json`).mtimeMs
    return installedAt >= statSync(`${consumers}/package-lock.json`).mtimeMs
  } catch {
    return false
  }
}
