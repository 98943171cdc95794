// Other versions of this project: an older one from its history, and copies of this one with changed lines.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createFolder, removeFolder } from './services/folders.ts'

export const thisVersion = fileURLToPath(new URL('../..', import.meta.url))

/** Lines of a source file and their replacement. */
export type SourceChange = readonly [file: string, from: string, to: string]

export type CheckedOut =
  | { readonly folder: string; readonly missing: null; remove(): void }
  | { readonly folder: null; readonly missing: string; remove(): void }

/**
 * Checks out the source of the last commit with this subject; otherwise returns the reason why it is not
 * available.
 */
export function checkOutVersion(subject: string): CheckedOut {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: thisVersion, maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] })
  const without = (missing: string) => ({ folder: null, missing, remove: () => {} })
  let commit: string
  try {
    commit = git('log', '-1', '--format=%H', '--fixed-strings', `--grep=${subject}`).toString().trim()
  } catch {
    return without('this is no git checkout')
  }
  if (commit === '') return without(`the history has no commit "${subject}"`)
  const parent = createFolder('before')
  const folder = join(parent, 'hufu')
  mkdirSync(folder)
  execFileSync('tar', ['-x', '-C', folder], { input: git('archive', commit, 'src', 'package.json') })
  symlinkSync(join(thisVersion, 'node_modules'), join(folder, 'node_modules'))
  return { folder, missing: null, remove: () => removeFolder(parent) }
}

/**
 * Copies a project into an empty folder so that it can run, with these lines changed.
 * @throws where a line is not found
 */
export function copyVersion(project: string, folder: string, changes: readonly SourceChange[]): void {
  for (const part of ['src', 'package.json'])
    cpSync(join(project, part), join(folder, part), { recursive: true })
  symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'))
  for (const [file, from, to] of changes) {
    const text = readFileSync(join(folder, file), 'utf8')
    if (!text.includes(from)) throw new Error(`${file} has no line that can be changed: ${from}`)
    writeFileSync(join(folder, file), text.replace(from, to))
  }
}
