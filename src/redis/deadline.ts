// The deadlines of Redis.
import { withinMs } from '../deadline.ts'

export const connectMs = 1_000

/** An answer of Redis, or a rejection when it takes longer than `ms`. */
export function answerWithin<T>(ms: number, answer: Promise<T>): Promise<T> {
  return withinMs(ms, answer, { from: 'Redis' })
}
