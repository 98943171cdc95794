// doctor's check of files that other users of this machine can read: the data of SQLite, and files with
// secrets.
import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseDatabaseUrl } from '../database/database-url.ts'
import { filesWithSecrets, readEnvironment } from '../settings/environment.ts'
import type { Settings } from '../settings/settings.ts'
import type { Finding } from './doctor-finding.ts'
import type { Output } from './output.ts'

export function openFileFindings({ database }: Settings, output: Output): Finding[] {
  // Windows has no such permissions.
  if (process.platform === 'win32') return []
  const place = parseDatabaseUrl(database.location.url)
  const data = place.kind === 'sqlite' ? ['', '-wal', '-shm'].map((end) => place.path + end) : []
  const files = [...data, ...filesWithSecrets(readEnvironment())].map((path) => resolve(path))
  return files.filter(isOpenToOthers).map((path) => ({
    check: 'files',
    status: 'warning',
    text: output.say(
      `${path} 可以被本机其他用户读取：chmod 600 ${path}`,
      `${path} can be read by other users of this machine: chmod 600 ${path}`,
    ),
  }))
}

/** Whether the file, and each folder on the way to it, is open to every user. */
function isOpenToOthers(path: string): boolean {
  const mode = modeOf(path)
  if (mode === null || (mode & 0o006) === 0) return false
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (((modeOf(folder) ?? 0) & 0o001) === 0) return false
    if (folder === dirname(folder)) return true
  }
}

function modeOf(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.mode ?? null
}
