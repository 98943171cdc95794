// A thread that computes password hashes at a low priority, so that a storm of sign-ins takes little time
// from checks.
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { hashSync, type Options, verifySync } from '@node-rs/argon2'

export type HashJob =
  | { readonly password: string; readonly cost: Options }
  | { readonly password: string; readonly phc: string }

export type HashDone = { readonly result: string | boolean } | { readonly error: string }

/**
 * Lower than the event loop, so that a storm of sign-ins takes little from checks; not much lower, so that a
 * flood of checks leaves something for sign-ins. Where both keep one core busy, Linux gives a thread of nice
 * 3 a third of it (weights 526 and 1024, sched(7)); nice 10 would be a tenth, and a whole sign-in is more
 * than its hash. bench/PROFILE.md has the measurements.
 */
const hashNice = 3

// Linux gives each thread a priority of its own (setpriority(2), "C library/kernel differences"); elsewhere
// it would be the process's.
if (process.platform === 'linux') setPriority(hashNice)

parentPort?.on('message', (job: HashJob) => {
  parentPort?.postMessage(done(job))
})

function done(job: HashJob): HashDone {
  try {
    return { result: 'phc' in job ? verifySync(job.phc, job.password) : hashSync(job.password, job.cost) }
  } catch (error) {
    return { error: String(error) }
  }
}
