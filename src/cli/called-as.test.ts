import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { calledAs } from './called-as.ts'

test('an installed package and a container name their command, and a checkout its npm scripts', () => {
  const installed = calledAs('file:///opt/hufu/node_modules/hufu/dist/cli/serve.js')
  expect([installed.command, installed.serve, installed.demo('')]).toEqual([
    'npx hufu',
    'npx hufu serve',
    'npx hufu demo',
  ])
  const compiled = calledAs('file:///app/dist/cli/serve.js')
  expect([compiled.command, compiled.serve, compiled.demo('--url x')]).toEqual([
    'hufu',
    'hufu serve',
    'hufu demo --url x',
  ])
  const checkout = calledAs('file:///home/you/hufu/src/cli/serve.ts')
  expect([checkout.command, checkout.serve, checkout.demo('--url x')]).toEqual([
    'npm run -s hufu --',
    'npm start',
    'npm run demo -- --url x',
  ])
})

test('no other message names an npm script, which an installed package does not have', () => {
  const src = fileURLToPath(new URL('..', import.meta.url))
  const files = globSync('**/*.{ts,js}', { cwd: src }).filter((file) => !file.endsWith('.test.ts'))
  expect(files).toContain('cli/serve.ts')
  const naming = files.filter((file) => /npm (run|start|exec)/.test(withoutComments(`${src}/${file}`)))
  // main.js is the entry of a checkout alone.
  expect(naming.toSorted()).toEqual(['cli/called-as.ts', 'main.js'])
})

const withoutComments = (path: string) => readFileSync(path, 'utf8').replace(/^\s*(\/\/|\/?\*).*$/gm, '')
