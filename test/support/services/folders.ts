/** Private temporary folders that are gone when the process that made them is gone. */

import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { whenProcessEnds } from './ending.ts'

/** The numeric owner of a folder or a process. */
export type Owner = { uid: number; gid: number }

const folders = new Set<string>()

whenProcessEnds(() => {
  for (const folder of folders) removeFolder(folder)
})

/** Makes a folder that only its owner can enter: this process's user, or the given one. */
export function createFolder(name: string, owner: Owner | null = null): string {
  // Another user may not be able to reach what TMPDIR names, but everybody reaches /tmp.
  const folder = mkdtempSync(join(owner === null ? tmpdir() : '/tmp', `hufu-${name}-`))
  folders.add(folder)
  if (owner !== null) chownSync(folder, owner.uid, owner.gid)
  return folder
}

/** Removes a folder with all that is in it; an absent one is no error. */
export function removeFolder(folder: string): void {
  // A killed server's last child may still write for a moment, hence the retries.
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  folders.delete(folder)
}
