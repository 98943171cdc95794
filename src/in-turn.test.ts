import { expect, test } from 'vitest'
import { InTurn } from './in-turn.ts'

test('work with one key runs one after the other, also after a failure; other keys do not wait', async () => {
  const turns = new InTurn()
  const order: string[] = []
  const gate = Promise.withResolvers<void>()
  const first = turns.run('a', async () => {
    await gate.promise
    order.push('a 1')
    throw new Error('failed')
  })
  const second = turns.run('a', async () => order.push('a 2'))
  await turns.run('b', async () => order.push('b'))
  expect(order).toEqual(['b'])
  gate.resolve()
  await expect(first).rejects.toThrow('failed')
  await second
  await turns.run('a', async () => order.push('a 3'))
  expect(order).toEqual(['b', 'a 1', 'a 2', 'a 3'])
})
