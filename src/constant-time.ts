// Comparing secrets.
import { timingSafeEqual } from 'node:crypto'

/**
 * Whether two texts are the same. The time does not depend on how much of them agrees, only on their lengths.
 */
export function isSameText(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}
