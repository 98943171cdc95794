/** Private temporary folders that are removed with the process that created them. */

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

/** Creates a folder that only its owner can enter: this process's user, or the given one. */
export function createFolder(name: string, owner: Owner | null = null): string {
  // Another user may not be able to reach the path of TMPDIR, but all users can reach /tmp.
  const folder = mkdtempSync(join(owner === null ? tmpdir() : '/tmp', `hufu-${name}-`))
  folders.add(folder)
  if (owner !== null) chownSync(folder, owner.uid, owner.gid)
  return folder
}

/** Removes a folder with its contents; a missing one is no error. */
export function removeFolder(folder: string): void {
  // A killed server's last child may still write for a moment, hence the retries.
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  folders.delete(folder)
}
