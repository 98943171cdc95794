// The wall clock of one server: a file that says how far off it is, and a signal that has the server read it.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createFolder, removeFolder } from '../support/services/folders.ts'

export interface ServerClock {
  /** What the server has to be started with. */
  readonly environment: Record<string, string>
  /** From now on the clock of the process is off by so much; 0: it is right. */
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
