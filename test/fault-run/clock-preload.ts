// Loaded before the server (`node --import`): gives the process a wall clock that a fault moves. What
// measures how long something takes (`performance.now`, timers) goes on as it is, as on a real machine whose
// clock is set.
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
