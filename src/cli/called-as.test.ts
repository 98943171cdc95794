import { expect, test } from 'vitest'
import { calledAs } from './called-as.ts'

test('an installed package names its command, and a checkout its npm scripts', () => {
  const installed = calledAs('file:///opt/hufu/node_modules/hufu/dist/cli/serve.js')
  expect([installed.command, installed.serve, installed.demo('')]).toEqual([
    'npx hufu',
    'npx hufu serve',
    'npx hufu demo',
  ])
  const checkout = calledAs('file:///home/you/hufu/src/cli/serve.ts')
  expect([checkout.command, checkout.serve, checkout.demo('--url x')]).toEqual([
    'npm run -s hufu --',
    'npm start',
    'npm run demo -- --url x',
  ])
})
