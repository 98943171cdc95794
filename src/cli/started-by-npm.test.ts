import { expect, test } from 'vitest'
import { isStartedByNpm } from './started-by-npm.ts'

const runs = (event: string, script: string) =>
  isStartedByNpm({ npm_lifecycle_event: event, npm_lifecycle_script: script })

test.each([
  ['npx', "'hufu'"],
  ['npx', '"hufu"'],
  ['npx', 'hufu'],
  ['npx', 'hufu serve'],
  ['start', 'hufu serve'],
  ['start', 'exec hufu serve'],
  ['start', 'exec node src/main.js serve'],
  ['start', 'node src/main.js serve'],
  ['hufu', 'node src/main.js'],
  ['server', 'node node_modules/hufu/dist/main.js serve'],
  ['server', './node_modules/.bin/hufu serve'],
])('npm %s that runs %s is this program alone', (event, script) => {
  expect(runs(event, script)).toBe(true)
})

test.each([
  ['start', 'hufu serve &'],
  ['start', 'nohup hufu serve'],
  ['start', 'nohup hufu serve > log &'],
  ['start', 'setsid hufu serve'],
  ['start', 'hufu serve; true'],
  ['start', 'hufu migrate && hufu serve'],
  ['start', 'hufu serve | tee log'],
  ['start', '(hufu serve)'],
  ['start', '$(hufu serve)'],
  ['start', 'systemd-run hufu serve'],
  ['start', 'node start-the-server.js'],
  ['test', 'vitest run'],
  ['start', 'hufu serve\ntrue'],
])('npm %s that runs %s may be meant to outlive its shell', (event, script) => {
  expect(runs(event, script)).toBe(false)
})

test('without npm there is no shell of npm', () => {
  expect(isStartedByNpm({})).toBe(false)
  expect(isStartedByNpm({ npm_lifecycle_script: 'hufu serve' })).toBe(false)
})
