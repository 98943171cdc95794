// Preloaded into a server (`node --import`): a fault can shift the wall clock of the process.
// `performance.now` and timers keep the real time, as on a machine whose clock is set.
import { readFileSync } from 'node:fs'

const realNow = Date.now
let offsetMs = 0

function readOffset(): void {
  offsetMs = Number(readFileSync(process.env.FAULT_CLOCK_FILE ?? '', 'utf8'))
}

readOffset()
process.on('SIGUSR2', readOffset)
Date.now = () => realNow() + offsetMs
globalThis.Date = new Proxy(Date, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [Date.now()] : args, newTarget),
  apply: (target) => new target(Date.now()).toString(),
})
