// Counting down what the server said, for the screen where a code is typed in.
import { type Clock, deviceClock, later } from './runtime.ts'

/** Seconds that run out. Nothing runs in the background but what `run` was asked for. */
export interface Countdown {
  /** Whole seconds until the end, 0 when it is over. */
  secondsLeft(): number
  /**
   * Tells the seconds that are left: at once, then as they pass; 0 is the last one.
   * @returns stops it, for the screen that closes
   */
  run(tell: (secondsLeft: number) => void): () => void
}

/** Counts from now on, for example the `retryAfterSeconds` of an error. It is right again after a time in the background. */
export function countdown(seconds: number, clock: Clock = deviceClock): Countdown {
  const begin = clock.now()
  // Who turns the clock back does not wait longer than the server said.
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
