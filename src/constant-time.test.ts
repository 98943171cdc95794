import { expect, test } from 'vitest'
import { isSameText } from './constant-time.ts'

test.each([
  ['the same', 'ungWv48B', 'ungWv48B', true],
  ['another', 'ungWv48B', 'ungWv48C', false],
  ['a longer one', 'ungWv48B', 'ungWv48BA', false],
  ['nothing', 'ungWv48B', '', false],
  ['as many characters and more bytes', '123456', '12345６', false],
])('%s', (_name, one, other, isSame) => {
  expect(isSameText(one, other)).toBe(isSame)
})
