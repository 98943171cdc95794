// Several processes on one port: the primary starts the workers, watches them, and stops them in order. It
// answers no requests itself.
import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../log.ts'
import { exitCodes } from './output.ts'
import { stopSignal, stopWithinMs } from './signals.ts'

const stopWord = 'stop'
const aliveWord = 'alive'
const aliveEveryMs = 1_000
/** A worker whose event loop has stood still for this many of the primary's own intervals is replaced. */
const silentMost = 10
/**
 * A worker that dies is replaced. If it died soon after its start, the replacement waits, and the wait
 * doubles each time.
 */
const firstWaitMs = 100
const lastWaitMs = 5_000
const soonMs = 10_000

/**
 * In a worker: resolves when the primary sends the stop message; only the primary handles signals. From here
 * on, the worker reports regularly to the primary that it is alive. When the primary is killed, node:cluster
 * ends its workers at once.
 */
export function stopMessage(): Promise<void> {
  // The primary may have ended; an error of that is of no interest.
  setInterval(() => process.send?.(aliveWord, undefined, undefined, () => {}), aliveEveryMs).unref()
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
 * @returns the exit code: `internal` where a worker did not end in order
 */
export async function runWorkers({ count, log }: WorkersOptions): Promise<number> {
  const signalled = stopSignal()
  const listening = new WeakSet<Worker>()
  cluster.on('listening', (worker) => listening.add(worker))
  // A worker that does not respond would not notice that its primary has ended.
  process.on('exit', killWorkers)
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
  return await stopWorkers(listening, Promise.all(kept))
}

/** Stops all workers, and returns the exit code once they have `ended`. */
async function stopWorkers(listening: WeakSet<Worker>, ended: Promise<unknown>): Promise<number> {
  const told: Worker[] = []
  for (const worker of Object.values(cluster.workers ?? {})) {
    if (!worker) continue
    // A worker that is still starting has nothing under way, and would not receive the message.
    if (!listening.has(worker)) {
      worker.process.kill('SIGKILL')
      continue
    }
    worker.send(stopWord)
    told.push(worker)
  }
  const killing = setTimeout(killWorkers, stopWithinMs)
  await ended
  clearTimeout(killing)
  return told.every(({ process: child }) => child.exitCode === 0) ? exitCodes.done : exitCodes.internal
}

function killWorkers(): void {
  for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL')
}

/** Replaces a worker that ends or does not respond, until `stopped`. */
async function keep(worker: Worker, log: Logger, stopped: AbortSignal): Promise<void> {
  let current = worker
  for (let waitMs = firstWaitMs; ; waitMs = Math.min(lastWaitMs, waitMs * 2)) {
    const began = performance.now()
    const unwatch = watch(current, log, stopped)
    const end = await endOf(current)
    unwatch()
    if (stopped.aborted) return
    if (performance.now() - began > soonMs) waitMs = firstWaitMs
    log.error({ worker: current.id, end }, 'a worker has died and is replaced')
    await sleep(waitMs, undefined, { signal: stopped }).catch(() => {})
    if (stopped.aborted) return
    current = cluster.fork()
  }
}

/**
 * Kills a worker that has said once that it is alive, and then says nothing any more. The primary counts its
 * own intervals and not the time, so that a pause of the whole machine kills no worker.
 * @returns a function that ends the watch
 */
function watch(worker: Worker, log: Logger, stopped: AbortSignal): () => void {
  let silent = Number.NEGATIVE_INFINITY
  worker.on('message', (word) => {
    if (word === aliveWord) silent = 0
  })
  const counting = setInterval(() => {
    silent++
    if (stopped.aborted || silent !== silentMost) return
    log.error({ worker: worker.id }, 'a worker does not respond and is killed')
    worker.process.kill('SIGKILL')
  }, aliveEveryMs)
  return () => clearInterval(counting)
}

/** The exit code of a worker, or the signal that killed it. */
async function endOf(worker: Worker): Promise<number | string> {
  const { process: child } = worker
  if (!worker.isDead()) await new Promise((resolve) => worker.once('exit', resolve))
  return child.signalCode ?? child.exitCode ?? exitCodes.internal
}
