// The sentence that names the date, the versions and the machine of a measurement.
import { cpus, release, totalmem } from 'node:os'
import { version } from '../src/version.ts'

export function machine(): string {
  const [cpu] = cpus()
  return `${new Date().toISOString().slice(0, 10)}, Hufu ${version}, Node ${process.versions.node}, Linux ${release().split('-', 1)[0]}, ${cpus().length} cores (${cpu?.model ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB.`
}
