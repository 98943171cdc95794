/** Redis servers can be killed, paused and started again, and end with the process that started them. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { describe, expect, inject, onTestFinished, test, vi } from 'vitest'
import { redisUrl } from '../databases.ts'
import { type RedisOptions, type RedisServer, sendRedisCommand, startRedis } from './redis.ts'

describe.skipIf(inject('redis').skipped !== null)('redis', () => {
  test('the shared server has a logical database for this file', async () => {
    const url = redisUrl() ?? ''
    expect(url).not.toMatch(/\/0$/)
    expect(await sendRedisCommand(url, 'DBSIZE')).toBe(0)
  })

  test('a killed server starts again on its port with its saved data set', async () => {
    const server = await startOwn({ save: 'rdb' })
    const { pid, url } = server
    await sendRedisCommand(url, 'SET', 'saved', 'yes')
    await sendRedisCommand(url, 'SAVE')
    await sendRedisCommand(url, 'SET', 'unsaved', 'yes')
    await server.kill('SIGKILL')
    expect(isAlive(pid)).toBe(false)
    await expect(sendRedisCommand(url, 'PING')).rejects.toThrow(/ECONNREFUSED/)

    await server.restart()
    expect(server.pid).not.toBe(pid)
    expect(await sendRedisCommand(url, 'MGET', 'saved', 'unsaved')).toEqual(['yes', null])
  })

  test('an orderly restart keeps everything, but nothing with save none', async () => {
    const keeping = await startOwn({ save: 'rdb' })
    const forgetting = await startOwn({ save: 'none' })
    for (const server of [keeping, forgetting]) {
      await sendRedisCommand(server.url, 'SET', 'key', 'value')
      await server.restart()
    }
    expect(await sendRedisCommand(keeping.url, 'GET', 'key')).toBe('value')
    expect(await sendRedisCommand(forgetting.url, 'GET', 'key')).toBeNull()
  })

  test('a paused server responds only after it continues', async () => {
    const server = await startOwn({})
    await server.kill('SIGSTOP')
    const answer = sendRedisCommand(server.url, 'PING')
    const silence = new Promise((resolve) => setTimeout(resolve, 200, 'silence'))
    expect(await Promise.race([answer, silence])).toBe('silence')
    await server.kill('SIGCONT')
    expect(await answer).toBe('PONG')
  })

  test('a stopped server is dead and its folder gone, even if it was paused', async () => {
    const server = await startOwn({})
    await server.kill('SIGSTOP')
    await server.stop()
    expect(isAlive(server.pid)).toBe(false)
    expect(existsSync(server.dir)).toBe(false)
  })

  test('a server that cannot start shows its own output', async () => {
    await expect(startRedis({ args: ['--no-such-setting', 'yes'] })).rejects.toThrow(/no-such-setting/)
  })
})

test.skipIf(inject('redis').skipped !== null)('a server ends with the process that started it', async () => {
  const script = `import { startRedis } from ${JSON.stringify(new URL('redis.ts', import.meta.url).href)}
    console.log((await startRedis()).url)`
  const starter = spawn(process.execPath, ['--input-type=module', '--eval', script])
  onTestFinished(() => void starter.kill('SIGKILL'))
  const [line] = await once(starter.stdout, 'data')
  const url = String(line).trim()
  expect(await sendRedisCommand(url, 'PING')).toBe('PONG')
  starter.kill('SIGTERM')
  await vi.waitFor(() => expect(sendRedisCommand(url, 'PING')).rejects.toThrow(/ECONNREFUSED/), {
    timeout: 5000,
  })
})

async function startOwn(options: RedisOptions): Promise<RedisServer> {
  const server = await startRedis(options)
  onTestFinished(() => server.stop())
  return server
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
