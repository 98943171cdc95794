import { describe, expect, test } from 'vitest'
import { shownHeader, shownMessage, shownPath } from './hidden-text.ts'

describe('a path for the log', () => {
  test.each([
    ['/users/13800138000', '/users/…'],
    ['/users/138-0013-8000', '/users/…'],
    ['/users/(138) 0013 - 8000/x', '/users/(…/x'],
    ['/users/138.0013.8000', '/users/…'],
    ['/users/+86-138-0013-8000', '/users/+…'],
    ['/users/138%2D0013%2d8000', '/users/…'],
    ['/users/138%20%28%30%30%31%33%29%208000', '/users/…'],
    ['/users/%31%33%38%30%30%31%33%38%30%30%30', '/users/…'],
    ['/users/138%252D0013%25252D8000', '/users/…'],
    ['/users/%EF%BC%91３８００１３８０００', '/users/…'],
    ['/users/%D9%A1%D9%A3%D9%A8%D9%A0%D9%A0%D9%A1%D9%A3%D9%A8', '/users/…'],
    ['/users/138%E2%80%910013%E2%80%918000', '/users/…'],
    ['/t/hf_abc-DEF/x', '/t/hf_…/x'],
    ['/t/hf%5Fabc%2DDEF', '/t/hf_…'],
    ['/t/%68f%255Fabc', '/t/hf_…'],
    ['/t/%FF%68%66%5Fabc', '/t/%EF%BF%BDhf_…'],
    ['/t/hp_abc-DEF/x', '/t/hf_…/x'],
    ['/t/%2525252568f_abc', '/…'],
    ['/k/hfk_abcdefghijkl_ABC/x', '/k/hf_…/x'],
    ['/k/hfk%5Fabcdefghijkl_ABC', '/k/hf_…'],
    [`/${'x'.repeat(190)}/13800138000`, `/${'x'.repeat(190)}/…`],
    [`/${'x'.repeat(195)}/13800138000`, `/${'x'.repeat(195)}/…`],
  ])('shows %s as %s', (path, shown) => {
    expect(shownPath(path)).toBe(shown)
  })

  test.each([
    '/',
    '/v1/nothing',
    '/v1/%ff',
    '/%zz',
    '/a%20b',
    '/items/123456',
    '/2026/11/29',
    '/v1.2.3',
    '/php_info',
  ])('leaves %s as it is', (path) => {
    expect(shownPath(path)).toBe(path)
  })

  test('has only printable ASCII beside the hidden part, and is cut', () => {
    expect(shownPath('/13800138000/%1b%5b31m%C2%9B%E2%80%A8%22%5c')).toBe('/…/%1B[31m%C2%9B%E2%80%A8"\\')
    expect(shownPath(`/13800138000/${'%00'.repeat(400)}`)).toHaveLength(200)
    expect(shownPath(`/${'x'.repeat(10_000)}`)).toHaveLength(200)
  })
})

test('a header for the log has no number and no token', () => {
  expect(shownHeader('138-0013-8000')).toBe('…')
  expect(shownHeader('unknown hf_secret')).toBe('unknown hf_…')
  expect(shownHeader('unknown')).toBe('unknown')
  expect(shownHeader('192.168.100.300:8080')).toBe('192.168.100.300:8080')
})

test('a message of a driver shows no stored number, and its addresses stay', () => {
  expect(shownMessage("Duplicate entry '+8613800005223' for key 'phone_number'")).toBe(
    "Duplicate entry '+…' for key 'phone_number'",
  )
  expect(shownMessage('connect ECONNREFUSED 192.168.100.200:5432')).toBe(
    'connect ECONNREFUSED 192.168.100.200:5432',
  )
})
