// The README names only existing exports, and its examples compile.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { compile } from '../scripts/compile.ts'
import * as sdk from './client.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const client = sdk.createClient({ baseUrl: 'https://hufu.test' })
const examples = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code)

/** The compiler's errors for each text, compiled as a file of an app with this package. */
function problemsOf(texts: readonly string[]): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'hufu-readme-'))
  try {
    const files = texts.map((text, index) => {
      const file = join(folder, `example-${index + 1}.mts`)
      writeFileSync(file, text)
      return file
    })
    const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
    return compile([...files, here('fake-platforms.d.ts')], { '@hufu/sdk': [here('client.ts')] })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('Every example compiles, including those for React Native and uni-app', () => {
  expect(examples.filter((code) => /expo-secure-store|uni\.request/.test(code))).toHaveLength(2)
  expect(problemsOf(examples)).toEqual([])
})

test('The examples for apps in README.md and README.zh-CN.md compile', () => {
  const texts = ['README.md', 'README.zh-CN.md'].flatMap((name) => {
    const text = readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')
    return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code)
  })
  expect(texts.filter((code) => code.includes("from '@hufu/sdk'"))).toHaveLength(2)
  expect(problemsOf(texts)).toEqual([])
})

test('An example with an error does not compile', () => {
  const wrong = [
    "import { createClient } from '@hufu/sdk'\ncreateClient({ baseUrl: 1 })\n",
    "import { createClient } from '@hufu/sdk'\nawait createClient({ baseUrl: '' }).ready()\n",
    "import { requestTransport } from '@hufu/sdk'\nrequestTransport(uni.getStorageSync)\n",
    "import { secureStorage } from '@hufu/sdk'\nimport * as S from 'expo-secure-store'\nsecureStorage(S, { x: 1 })\n",
  ]
  expect(problemsOf(wrong).map((problem) => problem.split(':')[0])).toEqual([
    'example-1.mts',
    'example-2.mts',
    'example-3.mts',
    'example-4.mts',
  ])
})

test('Everything that the README imports is exported', () => {
  const imports = [...readme.matchAll(/import \{ (.*) \} from '@hufu\/sdk'/g)]
  const names = imports.flatMap(([, list = '']) => list.split(', '))
  expect(names).toContain('createClient')
  expect(Object.keys(sdk)).toEqual(expect.arrayContaining(names))
})

test('The README calls every method of the client, and no other', () => {
  const called = [...readme.matchAll(/\bclient\.(\w+)/g)].map(([, name = '']) => name)
  expect([...new Set(called)].sort()).toEqual([...Object.keys(client), 'state'].sort())
})

test('The README names every fact of an error, every option and every adapter', () => {
  const { name: _, ...facts } = new sdk.HufuError({ code: 'network', message: '' })
  for (const fact of [...Object.keys(facts), 'message']) expect(readme).toContain(`\`${fact}\``)
  const adapters = Object.keys(sdk).filter((name) => /Storage$|Transport$/.test(name))
  expect(adapters).toHaveLength(5)
  for (const adapter of adapters) expect(readme).toContain(adapter)
})
