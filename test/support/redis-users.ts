// Users of Redis for tests, with exactly the rights that docs/settings.md names.
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'

/** The rules of ACL SETUSER; the password is `p@ss`. */
export const makeUser = (name: string) => ['ACL', 'SETUSER', name, 'reset', 'on', '>p@ss']

export function leastRights(): string[] {
  const text = readFileSync(new URL('../../docs/settings.md', import.meta.url), 'utf8')
  const [, rights = ''] = /needs `([^`]+)`, the keys/.exec(text) ?? []
  const [, keys = ''] = /the keys `([^`]+)`/.exec(text) ?? []
  const [, inCluster = ''] = /in a cluster also\s+`([^`]+)`/.exec(text) ?? []
  expect([rights, keys, inCluster]).not.toContain('')
  return [...rights.split(' '), keys, ...inCluster.split(' ')]
}
