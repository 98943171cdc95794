// How much memory a test's process uses.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** The memory in use after a garbage collection, in bytes. */
export function bytesInUse(): number {
  setFlagsFromString('--expose-gc')
  // The flag adds this function to new contexts.
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
