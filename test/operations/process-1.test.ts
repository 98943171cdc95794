// As process 1, like in a container: Linux ignores the signals for which it has no handler (kill(2)).
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const unshare = ['--pid', '--fork', '--kill-child'] as const
const isAllowed = spawnSync('unshare', [...unshare, 'true']).status === 0
if (!isAllowed)
  console.warn('skipped: this user may not make a PID namespace; a server as process 1 is not tried')

test.skipIf(!isAllowed)('SIGTERM ends a server that waits for its database', async () => {
  const { PATH = '' } = process.env
  const child = spawn('unshare', [...unshare, process.execPath, main, 'serve'], {
    env: { PATH, HUFU_DATABASE_URL: 'mysql://root@127.0.0.1:9/hufu' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'exit')
  await once(child.stderr, 'data')
  const server = Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim())
  expect(server).toBeGreaterThan(1)
  process.kill(server, 'SIGTERM')
  expect(await ended).toEqual([143, null])
})
