// A new terminal, in which a server is started as a document says.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { whenProcessEnds } from './services/ending.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

/** The environment of a new terminal, without this test run's npm, Node and settings. */
export function newTerminal(port: number): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env
  const own = PATH.split(':').filter((entry) => !entry.includes('node_modules'))
  return { PATH: own.join(':'), HOME, HUFU_PORT: String(port), LANG: 'C.UTF-8' }
}

export interface Where {
  readonly cwd: string
  /** The port in the start message. */
  readonly port: number
  /** `newTerminal` by default. */
  readonly environment?: Record<string, string>
}

export interface Started {
  readonly output: () => string
  /**
   * Sends SIGTERM to the process group, as Ctrl-C in a terminal does; resolves when the command has ended.
   */
  stop(): Promise<void>
  /** Sends SIGTERM to the command alone, as a supervisor does, which knows one process. */
  stopAlone(): Promise<void>
  /** Sends SIGKILL to the rest of the process group: a server that outlived npm is still in it. */
  end(): void
}

/**
 * Starts a command in a process group of its own, and waits for the start message of a server; throws where
 * it ends before.
 */
export async function startServer(
  command: string,
  args: readonly string[],
  { cwd, port, environment = newTerminal(port) }: Where,
): Promise<Started> {
  const child = spawn(command, args, { cwd, env: environment, detached: true })
  const group = -(child.pid ?? expect.fail('no process'))
  let isOver = false
  const end = () => {
    if (isOver) return
    isOver = true
    try {
      process.kill(group, 'SIGKILL')
    } catch {
      // All have ended already.
    }
  }
  whenProcessEnds(end)
  let output = ''
  await new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk
      if (output.includes(`http://127.0.0.1:${port}`)) resolve()
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.on('exit', (code) => reject(new Error(`it ended with ${code}: ${output}`)))
  })
  return {
    output: () => output,
    async stop() {
      process.kill(group, 'SIGTERM')
      await once(child, 'exit')
      isOver = true
    },
    async stopAlone() {
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
    end,
  }
}

/** Copies the current files of this checkout, with new ones and without ignored ones. */
export async function copyCheckout(to: string): Promise<void> {
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const { stdout } = await run('git', list, { cwd: root, maxBuffer: 2 ** 24 })
  for (const file of stdout.split('\0').filter((name) => name !== '')) {
    mkdirSync(dirname(join(to, file)), { recursive: true })
    cpSync(join(root, file), join(to, file))
  }
}
