// The cores of the processes during checks: the server has one for itself, so that neither the load generator
// nor a store competes with it.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { findBinary } from '../test/support/services/binaries.ts'

export interface Cores {
  /** A sentence for the report: the core of each process, or why none was pinned. */
  readonly description: string
  /** Pins the server to its core. */
  pinServer(pid: number): void
  /** Allows this process and the stores all cores again. */
  free(): void
}

/**
 * Pins this process (the load generator) to one core and the stores to the others, away from the server's
 * core.
 */
export function takeCores(storePids: readonly number[]): Cores {
  const taskset = findBinary(['taskset'])
  const allowed = allowedCores()
  const [server, load, ...others] = allowed
  if (taskset === null) return unpinned('there is no taskset')
  if (server === undefined || load === undefined) return unpinned('there is one core')
  const stores = others.length > 0 ? others : [load]
  const pin = (pid: number, cores: readonly number[]) =>
    spawnSync(taskset, ['-acp', cores.join(','), String(pid)]).status === 0
  const free = () => {
    for (const pid of [process.pid, ...storePids]) pin(pid, allowed)
  }
  if (!pin(process.pid, [load]) || !storePids.every((pid) => pin(pid, stores))) {
    free()
    return unpinned('taskset was refused')
  }
  return {
    description: `The server was pinned to core ${server}, the load to core ${load}, MariaDB and Redis to ${stores.join(', ')}.`,
    pinServer(pid) {
      if (!pin(pid, [server])) throw new Error(`taskset refused core ${server} for the server`)
    },
    free,
  }
}

function unpinned(why: string): Cores {
  return {
    description: `Nothing was pinned to a core, because ${why}: load, stores and server disturb each other.`,
    pinServer() {},
    free() {},
  }
}

/** The cores that this process may use, from Linux: `0-3,8`; none on other systems. */
function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readOr('/proc/self/status', ''))?.[1] ?? ''
  return list.split(',').flatMap((range) => {
    const [from = Number.NaN, to = from] = range.split('-').map(Number)
    return Array.from({ length: to - from + 1 || 0 }, (_, i) => from + i)
  })
}

/** CPU time of a process so far, in seconds; null without /proc. */
export function cpuSeconds(pid: number): number | null {
  return scheduledSeconds(pid) ?? countedSeconds(pid)
}

/**
 * In nanoseconds, of the threads that run now; null where the kernel does not count it. A server starts its
 * threads before it is measured.
 */
function scheduledSeconds(pid: number): number | null {
  const threads = namesIn(`/proc/${pid}/task`)
  const nanoseconds = threads.map((thread) =>
    Number(readOr(`/proc/${pid}/task/${thread}/schedstat`, '').split(' ')[0]),
  )
  const sum = nanoseconds.reduce((total, one) => total + one, 0)
  return sum > 0 ? sum / 1e9 : null
}

/** In hundredths of a second. */
function countedSeconds(pid: number): number | null {
  const fields = readOr(`/proc/${pid}/stat`, '').split(') ')[1]?.split(' ')
  // utime and stime, in hundredths of a second: proc_pid_stat(5).
  return fields ? (Number(fields[11]) + Number(fields[12])) / 100 : null
}

/** The living child processes of a process; none without /proc. */
export function childrenOf(pid: number): number[] {
  return readOr(`/proc/${pid}/task/${pid}/children`, '').split(' ').filter(Boolean).map(Number)
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function readOr(file: string, otherwise: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return otherwise
  }
}
