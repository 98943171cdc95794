// hufu keys as an operator uses it, and its effect on a running server of another process.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keyPattern } from '../../src/service-keys/key-text.ts'
import { type CommandResult, runCommand, type ServerProcess, startProcess } from '../support/app.ts'
import { databases } from '../support/databases.ts'

const create = ['keys', 'create', '--name', 'shop', '--scope', 'introspect']

describe.each(databases)('$name', ({ create: createDatabase, skipped }) => {
  const usable = test.skipIf(skipped !== null)
  let drop = async () => {}
  let environment: Record<string, string> = {}
  let server: ServerProcess

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await createDatabase()
    drop = fresh.drop
    environment = { HUFU_DATABASE_URL: fresh.url }
    server = await startProcess(environment)
  })
  afterAll(async () => {
    await server?.stop()
    await drop()
  })

  const hufu = async (...args: string[]) => {
    const result = await runCommand([...args, '--json'], environment)
    expect(result).toMatchObject({ code: 0, stderr: '' })
    return result.stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]))
  }
  const codeOf = async (key: string) => {
    const response = await fetch(`${server.url}/v1/introspect`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: new URLSearchParams({ token: 'x' }),
    })
    const { active, code } = (await response.json()) as { active?: boolean; code?: string }
    return code ?? active
  }

  usable('a server accepts a key, its rotation and its end as soon as each command returns', async () => {
    const [{ id, key, state }] = await hufu(...create)
    expect(key).toMatch(keyPattern)
    expect(state).toBe('live')
    expect(await codeOf(key)).toBe(false)
    const [{ key: next, previous_until }] = await hufu('keys', 'rotate', id, '--keep', '1h')
    expect(Date.parse(previous_until)).toBeGreaterThan(Date.now() + 3_500_000)
    expect([await codeOf(key), await codeOf(next)]).toEqual([false, false])
    const [{ key: last }] = await hufu('keys', 'rotate', id, '--keep', '0')
    expect([await codeOf(key), await codeOf(next), await codeOf(last)]).toEqual([
      'key_unknown',
      'key_unknown',
      false,
    ])
    expect(await hufu('keys', 'revoke', id)).toEqual([{ id, revoked: true }])
    expect(await codeOf(last)).toBe('key_revoked')
    expect(await hufu('keys', 'revoke', id)).toEqual([{ id, revoked: false }])
    const listed = await hufu('keys', 'list')
    expect(listed).toEqual([expect.objectContaining({ id, name: 'shop', state: 'revoked', networks: [] })])
    expect(JSON.stringify(listed)).not.toContain(last.slice(17))
    const events = await hufu('keys', 'events', id)
    const kinds = events.map(({ kind }) => kind).filter((kind) => kind !== 'key_used_from_network')
    expect(kinds).toEqual(['key_revoked', 'key_rotated', 'key_rotated', 'key_created'])
  })

  usable('a key of another network is refused by the server', async () => {
    const [{ key, networks }] = await hufu(...create, '--network', '10.0.0.0/8, fd00::/8')
    expect(networks).toEqual(['10.0.0.0/8', 'fd00::/8'])
    expect(await codeOf(key)).toBe('key_network_refused')
    const [{ key: local, expires_at }] = await hufu(...create, '--network', '127.0.0.1', '--expires', '2d')
    expect(await codeOf(local)).toBe(false)
    expect(Math.abs(Date.parse(expires_at) - Date.now() - 2 * 86_400_000)).toBeLessThan(60_000)
  })
})

describe('wrong calls', () => {
  let drop = async () => {}
  let environment: Record<string, string> = {}
  beforeAll(async () => {
    const fresh = await (databases[0] ?? expect.fail()).create()
    drop = fresh.drop
    environment = { HUFU_DATABASE_URL: fresh.url }
  })
  afterAll(() => drop())

  const inBoth = async (args: string[]): Promise<readonly CommandResult[]> => [
    await runCommand(args, environment),
    await runCommand(args, { ...environment, LANG: 'zh_CN.UTF-8' }),
  ]

  test.each<[string[], number, RegExp, RegExp]>([
    [['keys', 'create', '--scope', 'introspect'], 2, /--name <name>/, /缺少 --name/],
    [['keys', 'create', '--name', 'a'], 2, /--scope must be scopes/, /--scope 必须是/],
    [
      ['keys', 'create', '--name', 'a', '--scope', 'introspect,all'],
      2,
      /introspect:reason/,
      /introspect:reason/,
    ],
    [[...create, '--network', '10.1.2.3/8'], 2, /--network must be/, /--network 必须是/],
    [[...create, '--expires', '2020-01-01'], 2, /--expires must be/, /--expires 必须是/],
    [[...create, '--expires', '0'], 2, /--expires must be/, /--expires 必须是/],
    [['keys', 'rotate', 'none', '--keep', '31d'], 2, /--keep must be/, /--keep 必须是/],
    [['keys', 'rotate', 'none'], 1, /no service key with the id none/, /没有 id 为 none 的服务密钥/],
    [['keys', 'revoke', 'none'], 1, /no service key with the id none/, /没有 id 为 none 的服务密钥/],
    [['keys', 'events', 'none'], 1, /no service key with the id none/, /没有 id 为 none 的服务密钥/],
  ])('%j', async (args, code, english, chinese) => {
    const [one, other] = await inBoth(args)
    expect(one).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(english) })
    expect(other).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(chinese) })
  })
})
