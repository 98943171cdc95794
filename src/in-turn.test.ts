import { expect, test } from 'vitest'
import { InTurn } from './in-turn.ts'

test('work with one key runs one after the other, also after a failure; other keys do not wait', async () => {
  const turns = new InTurn({ atOnce: 3 })
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

test('what is too much for one key is refused at once, and the places come back', async () => {
  const turns = new InTurn({ atOnce: 2 })
  const gate = Promise.withResolvers<void>()
  const running = [1, 2].map(() => turns.run('a', () => gate.promise))
  await expect(turns.run('a', async () => {})).rejects.toMatchObject({ code: 'overloaded' })
  await turns.run('b', async () => {})
  gate.resolve()
  await Promise.all(running)
  await Promise.all([1, 2].map(() => turns.run('a', async () => {})))
})
