// Several processes on one port: the first one starts them, watches them, and stops them in order. It serves nobody itself.
import cluster, { type Address, type Worker } from 'node:cluster'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../log.ts'
import { exitCodes } from './output.ts'
import { stopSignal } from './signals.ts'

const stopWord = 'stop'
/** A worker that dies is replaced; one that died soon after its start, after a wait that doubles. */
const firstWaitMs = 100
const lastWaitMs = 5_000
const soonMs = 10_000

/**
 * In a worker: resolves when the first process tells it to stop; signals are the first process's business. When that one
 * is killed, node:cluster ends its workers at once.
 */
export function stopMessage(): Promise<void> {
  // A terminal and systemd signal every process of the group; only one of them may answer.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => {})
  return new Promise((resolve) => {
    process.on('message', (word) => {
      if (word === stopWord) resolve()
    })
  })
}

/** In a worker that has nothing to do any more: the line to the first process keeps it alive no longer. */
export function unrefPrimary(): void {
  process.channel?.unref()
}

export interface WorkersOptions {
  readonly count: number
  readonly log: Logger
  /** Called once, when the first of them listens. */
  readonly onListening: (address: Address) => void
}

/**
 * Runs so many copies of this process, and returns when a signal has stopped all of them. The first one starts alone, so
 * that what is wrong with settings, port or database is said once.
 */
export async function runWorkers({ count, log, onListening }: WorkersOptions): Promise<number> {
  const signalled = stopSignal()
  const listening = new WeakSet<Worker>()
  cluster.on('listening', (worker) => listening.add(worker))
  const first = cluster.fork()
  const began = await Promise.race([
    new Promise<Address>((resolve) => first.once('listening', resolve)),
    endOf(first),
    signalled.then(() => null),
  ])
  // It has said why.
  if (typeof began === 'number' || typeof began === 'string') return Number(began) || exitCodes.internal
  if (began) onListening(began)
  const others = Array.from({ length: began ? count - 1 : 0 }, () => cluster.fork())
  const stopped = new AbortController()
  const kept = [first, ...others].map((worker) => keep(worker, log, stopped.signal))
  await signalled
  stopped.abort()
  for (const worker of Object.values(cluster.workers ?? {})) {
    // One that is only starting has nothing under way, and would not hear the word.
    if (worker && listening.has(worker)) worker.send(stopWord)
    else worker?.process.kill('SIGKILL')
  }
  await Promise.all(kept)
  return exitCodes.done
}

/** Sees to it that there is a worker, until `stopped`. */
async function keep(worker: Worker, log: Logger, stopped: AbortSignal): Promise<void> {
  let current = worker
  for (let waitMs = firstWaitMs; ; waitMs = Math.min(lastWaitMs, waitMs * 2)) {
    const began = performance.now()
    const end = await endOf(current)
    if (stopped.aborted) return
    if (performance.now() - began > soonMs) waitMs = firstWaitMs
    log.error({ worker: current.id, end }, 'a worker has died and is replaced')
    await sleep(waitMs, undefined, { signal: stopped }).catch(() => {})
    if (stopped.aborted) return
    current = cluster.fork()
  }
}

/** The exit code of a worker, or the signal that killed it. */
async function endOf(worker: Worker): Promise<number | string> {
  const { process: child } = worker
  if (!worker.isDead()) await new Promise((resolve) => worker.once('exit', resolve))
  return child.signalCode ?? child.exitCode ?? exitCodes.internal
}
