/** Starts server processes, waits until they answer, and ends them by process id. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { freemem, totalmem } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findBinary } from './binaries.ts'
import { whenProcessEnds } from './ending.ts'
import type { Owner } from './folders.ts'

export type Command = {
  file: string
  args: readonly string[]
  /** The working folder; the output is kept there, in `<name of the file>.log`. */
  folder: string
  /** The user to run as; null is this process's own. */
  owner: Owner | null
  /** Environment variables that differ from those of this process. */
  environment?: Readonly<Record<string, string>>
  /** The signal that ends it when this process ends; SIGKILL by default. */
  abort?: NodeJS.Signals
}

export type ServerProcess = {
  readonly pid: number
  /** Sends a signal; SIGTERM, SIGINT and SIGKILL resolve when the process is dead, or throw after 10 s. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** Ends the process with the signal, or with SIGKILL after 10 s, also when it is paused or dead already. */
  stop(signal?: NodeJS.Signals): Promise<void>
}

const startDeadlineMs = 120_000
const stopDeadlineMs = 30_000
const pollMs = 20

const alive = new Map<ChildProcess, Command>()

whenProcessEnds(() => {
  for (const [child, command] of alive) child.kill(abortOf(command))
})

/** Runs a command to its end; throws with its output when it fails. */
export async function run(command: Command): Promise<void> {
  const { child, exited } = await launch(command)
  await exited
  if (child.exitCode !== 0) throw new Error(`${command.file} failed\n${outputOf(command)}`)
}

/**
 * Starts a server and waits until `ask` no longer throws; throws with the server's output when it never does.
 * If the server later ends by itself, the known facts about its end are printed.
 */
export async function startServer(command: Command, ask: () => Promise<void>): Promise<ServerProcess> {
  const { child, pid, exited } = await launch(command)
  const server = { pid, kill: send, stop }
  let isEnding = false
  const deadline = performance.now() + startDeadlineMs
  for (;;) {
    const answered = await answers(ask)
    // Checked after an answer too, which another process on the same port may have sent.
    if (!isAlive(child)) throw new Error(`${command.file} ended\n${outputOf(command)}`)
    if (answered) {
      void exited.then(() => {
        if (!isEnding) console.error(reportOf(command, child))
      })
      return server
    }
    if (performance.now() > deadline) {
      await stop('SIGKILL')
      throw new Error(`${command.file} did not answer within ${startDeadlineMs} ms\n${outputOf(command)}`)
    }
    await delay(pollMs)
  }

  async function send(signal: NodeJS.Signals): Promise<void> {
    const ends = ['SIGTERM', 'SIGINT', 'SIGKILL'].includes(signal)
    isEnding ||= ends
    child.kill(signal)
    if (!ends) return
    if (!(await happensInTime(exited))) throw new Error(`${command.file} (pid ${pid}) outlived ${signal}`)
  }

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    isEnding = true
    child.kill(signal)
    child.kill('SIGCONT')
    if (await happensInTime(exited)) return
    await send('SIGKILL')
  }
}

async function launch(
  command: Command,
): Promise<{ child: ChildProcess; pid: number; exited: Promise<void> }> {
  const log = openSync(logOf(command), 'a')
  const { file, args } = withLimit(command)
  const env = { ...process.env, ...command.environment }
  const child = spawn(file, args, { cwd: command.folder, stdio: ['ignore', log, log], env, ...command.owner })
  closeSync(log)
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  alive.set(child, command)
  void exited.then(() => alive.delete(child))
  await once(child, 'spawn')
  if (child.pid === undefined) throw new Error(`${command.file} has no process id`)
  return { child, pid: child.pid, exited }
}

/** Wraps the command so that Linux ends the child when this process dies, even of SIGKILL. */
function withLimit(command: Command): { file: string; args: readonly string[] } {
  guard ??= findGuard()
  if (guard.file === null) return command
  return { file: guard.file, args: ['--pdeathsig', abortOf(command), command.file, ...command.args] }
}

let guard: { file: string | null } | null = null

function findGuard(): { file: string | null } {
  const file = findBinary(['setpriv'])
  // Some versions of setpriv lack the option, and other systems have no setpriv.
  const works = file !== null && spawnSync(file, ['--pdeathsig', 'SIGKILL', 'true']).status === 0
  return { file: works ? file : null }
}

function abortOf(command: Command): NodeJS.Signals {
  return command.abort ?? 'SIGKILL'
}

async function answers(ask: () => Promise<void>): Promise<boolean> {
  return ask().then(
    () => true,
    () => false,
  )
}

async function happensInTime(event: Promise<void>): Promise<boolean> {
  const timer = new AbortController()
  const late = delay(stopDeadlineMs, false, { signal: timer.signal }).catch(() => false)
  const inTime = await Promise.race([event.then(() => true), late])
  timer.abort()
  return inTime
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}

/** The known facts about a server that ended by itself, or by another program. */
function reportOf(command: Command, { pid, exitCode, signalCode }: ChildProcess): string {
  const how = signalCode === null ? `with exit code ${exitCode}` : `by ${signalCode}`
  const memory = `${Math.round(freemem() / 1e6)} of ${Math.round(totalmem() / 1e6)} MB of memory are free`
  const head = `${command.file} (pid ${pid}) ended ${how}, and no test ended it; ${memory}`
  return `${head}\nThe end of its output:\n${lastOutputOf(command)}`
}

/** Another program may have removed the folder together with the log. */
function lastOutputOf(command: Command): string {
  try {
    return outputOf(command)
  } catch (error) {
    return `there is none: ${error}`
  }
}

function logOf(command: Command): string {
  return join(command.folder, `${basename(command.file)}.log`)
}

function outputOf(command: Command): string {
  return readFileSync(logOf(command), 'utf8').slice(-4000)
}
