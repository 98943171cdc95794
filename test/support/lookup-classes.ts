/** The classes of work in which a server looks up tokens. */

import { vi } from 'vitest'
import { currentPlace, type QueueClass } from '../../src/queue-order.ts'
import type { RunningApp } from './app.ts'

/** Returns the class of each look-up of a token during `work`, in order. */
export async function lookupClasses(
  { services }: RunningApp,
  work: () => Promise<void>,
): Promise<QueueClass[]> {
  const { verification } = services
  const verify = verification.verify.bind(verification)
  const classes: QueueClass[] = []
  const spy = vi.spyOn(verification, 'verify').mockImplementation((text) => {
    classes.push(currentPlace().queueClass)
    return verify(text)
  })
  try {
    await work()
  } finally {
    spy.mockRestore()
  }
  return classes
}
