// Several processes on one port: the primary starts the workers, watches them, and stops them in order. It
// answers no requests itself.
import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../log.ts'
import { exitCodes } from './output.ts'
import { stopSignal } from './signals.ts'

const stopWord = 'stop'
/**
 * A worker that dies is replaced. If it died soon after its start, the replacement waits, and the wait
 * doubles each time.
 */
const firstWaitMs = 100
const lastWaitMs = 5_000
const soonMs = 10_000

/**
 * In a worker: resolves when the primary sends the stop message; only the primary handles signals. When the
 * primary is killed, node:cluster ends its workers at once.
 */
export function stopMessage(): Promise<void> {
  // A terminal and systemd send a signal to every process of the group; only the primary may react.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => {})
  return new Promise((resolve) => {
    process.on('message', (word) => {
      if (word === stopWord) resolve()
    })
  })
}

/** In a worker: whether it was started first, alone. A worker that replaces another one was not. */
export function isFirstWorker(): boolean {
  return cluster.worker?.id === 1
}

/** In a worker that has finished: the channel to the primary no longer keeps the process alive. */
export function unrefPrimary(): void {
  process.channel?.unref()
}

export interface WorkersOptions {
  readonly count: number
  readonly log: Logger
}

/**
 * Runs `count` worker processes, and returns when a signal has stopped all of them. The first one starts
 * alone, so that an error in settings, port or database is printed once.
 */
export async function runWorkers({ count, log }: WorkersOptions): Promise<number> {
  const signalled = stopSignal()
  const listening = new WeakSet<Worker>()
  cluster.on('listening', (worker) => listening.add(worker))
  const first = cluster.fork()
  const began = await Promise.race([
    once(first, 'listening').then(() => true),
    endOf(first),
    signalled.then(() => false),
  ])
  // The worker has printed the reason.
  if (typeof began !== 'boolean') return Number(began) || exitCodes.internal
  const others = Array.from({ length: began ? count - 1 : 0 }, () => cluster.fork())
  const stopped = new AbortController()
  const kept = [first, ...others].map((worker) => keep(worker, log, stopped.signal))
  await signalled
  stopped.abort()
  for (const worker of Object.values(cluster.workers ?? {})) {
    // A worker that is still starting has nothing under way, and would not receive the message.
    if (worker && listening.has(worker)) worker.send(stopWord)
    else worker?.process.kill('SIGKILL')
  }
  await Promise.all(kept)
  return exitCodes.done
}

/** Replaces a worker that ends, until `stopped`. */
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
