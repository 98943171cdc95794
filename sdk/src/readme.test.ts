// The README names only what there is.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import * as sdk from './client.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const client = sdk.createClient({ baseUrl: 'https://hufu.test' })

test('Whatever the README imports is exported', () => {
  const imports = [...readme.matchAll(/import \{ (.*) \} from '@hufu\/sdk'/g)]
  const names = imports.flatMap(([, list = '']) => list.split(', '))
  expect(names).toContain('createClient')
  expect(Object.keys(sdk)).toEqual(expect.arrayContaining(names))
})

test('The README calls every method of the client, and no other', () => {
  const called = [...readme.matchAll(/\bclient\.(\w+)/g)].map(([, name = '']) => name)
  expect([...new Set(called)].sort()).toEqual([...Object.keys(client), 'state'].sort())
})

test('The README tells of every fact of an error', () => {
  const { name: _, ...facts } = new sdk.HufuError({ code: 'network', message: '' })
  for (const fact of Object.keys(facts)) expect(readme).toContain(`\`${fact}\``)
})
