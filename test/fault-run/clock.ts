// The wall clock of one server: a file with its offset, and a signal on which the server reads the file.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createFolder, removeFolder } from '../support/services/folders.ts'

export interface ServerClock {
  /** The environment variables that the server needs. */
  readonly environment: Record<string, string>
  /** Shifts the wall clock of the process by an offset from real time; 0 sets it right. */
  set(offsetMs: number, process: { kill(signal: 'SIGUSR2'): unknown }): void
  close(): void
}

export function createClock(): ServerClock {
  const folder = createFolder('clock')
  const file = join(folder, 'offset')
  writeFileSync(file, '0')
  const preload = new URL('./clock-preload.ts', import.meta.url)
  return {
    environment: { NODE_OPTIONS: `--import=${preload}`, FAULT_CLOCK_FILE: file },
    set(offsetMs, process) {
      writeFileSync(file, String(offsetMs))
      process.kill('SIGUSR2')
    },
    close: () => removeFolder(folder),
  }
}
