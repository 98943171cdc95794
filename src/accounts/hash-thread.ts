// A thread that computes password hashes: at a low priority, so that a storm of sign-ins takes no time from checks.
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { hashSync, type Options, verifySync } from '@node-rs/argon2'

export type HashJob =
  | { readonly password: string; readonly cost: Options }
  | { readonly password: string; readonly phc: string }

export type HashDone = { readonly result: string | boolean } | { readonly error: string }

// Linux gives each thread a priority of its own (setpriority(2), "C library/kernel differences"); elsewhere it would be the process's.
if (process.platform === 'linux') setPriority(10)

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
