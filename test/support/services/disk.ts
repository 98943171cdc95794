// A disk that a fault can fill: a small filesystem of its own, or a limit on the size of files if this user
// may not mount one.
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findBinary, whyMissing } from './binaries.ts'
import { whenProcessEnds } from './ending.ts'

export interface SmallDisk {
  readonly folder: string
  /** Takes all free space. `pid` is the process that writes there. */
  fill(pid: number): void
  makeRoom(pid: number): void
  close(): void
}

/** Enough for the database and its log, and quick to fill. */
const sizeMb = 16

export function openDisk(): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'hufu-disk-'))
  return mountDisk(folder) ?? limitFiles(folder)
}

/** Why no disk can be filled here, or null; one package has the programs for both ways. */
export function whyNoFullDisk(): string | null {
  return whyMissing(['prlimit'], 'util-linux')
}

/** Writes beyond the free space give ENOSPC, as on any full disk. Null if this user may not mount. */
function mountDisk(folder: string): SmallDisk | null {
  if (!succeeds('mount', ['-t', 'tmpfs', '-o', `size=${sizeMb}m`, 'tmpfs', folder])) return null
  const ballast = join(folder, 'ballast')
  const close = () => {
    // Lazily: a process that still has a file open there keeps the mount until it ends.
    succeeds('umount', ['--lazy', folder])
    rmSync(folder, { recursive: true, force: true })
  }
  whenProcessEnds(close)
  return { folder, fill: () => fillFile(ballast), makeRoom: () => rmSync(ballast), close }
}

function fillFile(path: string): void {
  const file = openSync(path, 'w')
  // Down to the last byte, whatever the block size.
  for (let bytes = 1 << 20; bytes >= 1; bytes >>= 1) {
    const block = Buffer.alloc(bytes)
    while (hasWritten(file, block));
  }
  closeSync(file)
}

function hasWritten(file: number, block: Buffer): boolean {
  try {
    return writeSync(file, block) > 0
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return false
    throw error
  }
}

/**
 * No file may be written past its first byte: EFBIG instead of ENOSPC. Node ignores the signal that comes
 * with it.
 */
function limitFiles(folder: string): SmallDisk {
  const limit = (pid: number, bytes: string) =>
    succeeds('prlimit', ['--pid', String(pid), `--fsize=${bytes}:unlimited`])
  const close = () => rmSync(folder, { recursive: true, force: true })
  whenProcessEnds(close)
  return {
    folder,
    fill(pid) {
      if (!limit(pid, '1')) throw new Error(`prlimit could not limit the files of process ${pid}`)
    },
    // A process that was killed has no limit any more.
    makeRoom: (pid) => void limit(pid, 'unlimited'),
    close,
  }
}

function succeeds(program: string, args: readonly string[]): boolean {
  const file = findBinary([program])
  return file !== null && spawnSync(file, args, { stdio: 'ignore' }).status === 0
}
