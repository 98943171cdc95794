// A countdown of the server's times, for the screen where a code is typed in.
import { type Clock, deviceClock, later } from './runtime.ts'

/** A countdown in seconds. No timer runs unless `run` was called. */
export interface Countdown {
  /** Whole seconds until the end, 0 when it has passed. */
  secondsLeft(): number
  /**
   * Calls `tell` with the remaining seconds: at once, then each second; 0 is the last call.
   * @returns a function that stops it, for a screen that closes
   */
  run(tell: (secondsLeft: number) => void): () => void
}

/**
 * Counts down from now, for example the `retryAfterSeconds` of an error. It is also correct after a time in
 * the background.
 */
export function countdown(seconds: number, clock: Clock = deviceClock): Countdown {
  const begin = clock.now()
  // A device whose clock is set back does not wait longer than the server said.
  const msLeft = () => Math.min(seconds * 1000, Math.max(0, begin + seconds * 1000 - clock.now()))
  const secondsLeft = () => Math.ceil(msLeft() / 1000)
  return {
    secondsLeft,
    run(tell) {
      let stop = () => {}
      const tick = () => {
        const left = secondsLeft()
        if (left > 0) stop = later(tick, msLeft() - (left - 1) * 1000)
        tell(left)
      }
      tick()
      return () => stop()
    },
  }
}
