// deploy/compose.yaml is consistent with the Dockerfile, nginx.conf and the table of settings, and its
// commands work.
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv, promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { stopWithinMs } from '../../src/cli/signals.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { settingRows } from '../../src/settings/table.ts'
import { blockOf } from '../docs/documents/blocks.ts'
import { findBinary, getBinary, whyMissing } from '../support/services/binaries.ts'
import { createFolder, removeFolder } from '../support/services/folders.ts'
import { checkConfiguration } from '../support/services/nginx.ts'
import { freePort } from '../support/services/ports.ts'
import { startServer } from '../support/services/processes.ts'
import { readDockerfile } from './dockerfile.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** A service as this file writes it; `serviceKeys` has the other possible keys. */
interface Service {
  readonly environment?: Record<string, string>
  readonly depends_on?: Record<string, { condition: string }>
  readonly healthcheck?: { test: string[] }
  readonly networks: string[] | Record<string, { ipv4_address: string } | null>
  readonly volumes?: string[]
  readonly command?: string[]
  readonly ports?: string[]
  readonly stop_grace_period?: string
  readonly ulimits?: { nofile: number }
  readonly build?: { context: string; args: string[] }
  readonly image: string
}
interface Compose {
  readonly services: Record<'nginx' | 'hufu-1' | 'hufu-2' | 'mariadb' | 'redis', Service>
  readonly networks: Record<string, { ipam?: { config: { subnet: string }[] } }>
  readonly volumes: Record<string, null>
}

const serviceKeys = [
  ...[
    'image',
    'build',
    'pull_policy',
    'restart',
    'command',
    'environment',
    'env_file',
    'depends_on',
    'healthcheck',
  ],
  ...[
    'networks',
    'volumes',
    'ports',
    'stop_grace_period',
    'ulimits',
    'read_only',
    'tmpfs',
    'cap_drop',
    'security_opt',
  ],
]
const passwords = { DATABASE_PASSWORD: 'd0'.repeat(24), REDIS_PASSWORD: 'e1'.repeat(24) }
const compose: Compose = parse(filledIn(read('deploy/compose.yaml'), passwords), {
  merge: true,
  strict: true,
})
const { services } = compose
const servers = [services['hufu-1'], services['hufu-2']]

/** As Compose replaces `${NAME:?why}`, and `$$` is one dollar; a name without a value is an error. */
function filledIn(text: string, values: Readonly<Record<string, string | undefined>>): string {
  return text.replace(/\$(?:\$|\{(\w+):\?[^}]+\}|)/g, (found, name: string | undefined) => {
    if (found === '$$') return '$'
    return values[name ?? ''] ?? expect.fail(`${found} has no value`)
  })
}

const networksOf = ({ networks }: Service) => (Array.isArray(networks) ? networks : Object.keys(networks))
const addressOf = ({ networks }: Service) =>
  Array.isArray(networks)
    ? expect.fail('no address')
    : (networks.front?.ipv4_address ?? expect.fail('no address'))

describe('deploy/compose.yaml', () => {
  test('has only keys of the Compose Specification that this test knows, and references only what exists', () => {
    expect(Object.keys(compose).toSorted()).toEqual(['name', 'networks', 'services', 'volumes', 'x-hufu'])
    const dockerfile = readDockerfile(read('Dockerfile'))
    const args = dockerfile.filter(({ name }) => name === 'ARG').map(({ text }) => text.replace(/=.*/, ''))
    for (const [name, service] of Object.entries(services)) {
      expect(serviceKeys, name).toEqual(expect.arrayContaining(Object.keys(service)))
      expect(Object.keys(compose.networks), name).toEqual(expect.arrayContaining(networksOf(service)))
      const volumes = (service.volumes ?? []).map((volume) => volume.split(':')[0] ?? '')
      for (const volume of volumes)
        if (volume.startsWith('.')) expect(statSync(join(root, 'deploy', volume)).isFile(), name).toBe(true)
        else expect(Object.keys(compose.volumes), name).toContain(volume)
      expect(args, name).toEqual(expect.arrayContaining(service.build?.args ?? []))
      if (service.build)
        expect(join(root, 'deploy', service.build.context, 'Dockerfile')).toBe(join(root, 'Dockerfile'))
      expect(service.image, name).toMatch(/^[a-z]+:\d+\.\d/)
    }
    expect(services['hufu-1'].image).toBe(`hufu:${JSON.parse(read('package.json')).version}`)
  })

  test('waits only for services with a health check', () => {
    const hasCheck = (name: string) =>
      name.startsWith('hufu-') || services[name as keyof typeof services]?.healthcheck !== undefined
    const waits = Object.values(services).flatMap(({ depends_on = {} }) => Object.entries(depends_on))
    expect(waits.map(([name]) => name).toSorted()).toEqual([
      'hufu-1',
      'hufu-2',
      'mariadb',
      'mariadb',
      'redis',
      'redis',
    ])
    for (const [name, { condition }] of waits)
      expect([name, condition, hasCheck(name)]).toEqual([name, 'service_healthy', true])
  })

  test('gives both servers settings that Hufu accepts, with the names and passwords of the other services', () => {
    const { mariadb, redis, nginx } = services
    for (const { environment = {}, ulimits, stop_grace_period = '' } of servers) {
      expect(settingRows.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(environment)))
      const settings = readSettings(environment)
      expect(settings.http.trustedProxies).toEqual([addressOf(nginx)])
      const database = new URL(environment.HUFU_DATABASE_URL ?? '')
      const { MARIADB_USER, MARIADB_PASSWORD, MARIADB_DATABASE } = mariadb.environment ?? {}
      expect([database.hostname, database.username, database.password, database.pathname.slice(1)]).toEqual([
        'mariadb',
        MARIADB_USER,
        MARIADB_PASSWORD,
        MARIADB_DATABASE,
      ])
      const copies = new URL(environment.HUFU_REDIS_URL ?? '')
      expect([copies.hostname, copies.password]).toEqual(['redis', redis.environment?.REDISCLI_AUTH])
      const [, files] = /^LimitNOFILE=(\d+)$/m.exec(read('deploy/hufu@.service')) ?? []
      expect(String(ulimits?.nofile)).toBe(files)
      expect(Number.parseInt(stop_grace_period, 10) * 1000).toBeGreaterThan(stopWithinMs)
    }
  })

  test('publishes no port but that of nginx', () => {
    const withPorts = Object.entries(services).filter(([, { ports }]) => ports !== undefined)
    expect(withPorts.map(([name, { ports }]) => [name, ports])).toEqual([['nginx', ['80:80']]])
    expect(read('deploy/nginx.conf')).toMatch(/^ {2}listen 80;$/m)
  })

  /** What nginx gets: its command with the paths of its container mapped into a folder. */
  function configurationOfNginx(): string {
    const folder = createFolder('compose')
    const [shell = '', ...args] = services.nginx.command ?? []
    const places = (text: string) =>
      text
        .replace('/etc/nginx/hufu.conf', join(root, 'deploy/nginx.conf'))
        .replace('/etc/nginx/conf.d', folder)
        .replace('exec nginx', 'exec echo')
    const printed = execFileSync(shell, args.map(places), { encoding: 'utf8' })
    expect(printed).toBe('-g daemon off;\n')
    const text = readFileSync(join(folder, 'default.conf'), 'utf8')
    removeFolder(folder)
    return text
  }

  test('gives nginx the deployed file with the addresses of the two servers', () => {
    const expected = servers.map((server) => `server ${addressOf(server)}:5001 `)
    const text = configurationOfNginx()
    expect(text.match(/^ {2}(server \S+ )max_fails/gm)?.map((line) => line.slice(2, -9))).toEqual(expected)
    expect(text).toContain('X-Forwarded-For $proxy_add_x_forwarded_for')
    const [{ subnet } = expect.fail('no subnet')] = compose.networks.front?.ipam?.config ?? []
    for (const service of [services.nginx, ...servers])
      expect(addressOf(service).replace(/\.\d+$/, '.0/24')).toBe(subnet)
  })

  test.skipIf(whyMissing(['nginx'], 'nginx') !== null)('nginx takes that file', async () => {
    await checkConfiguration(configurationOfNginx)
  })

  const noRedis = findBinary(['redis-cli']) === null ? whyMissing(['redis-cli'], 'redis-server') : null
  test.skipIf(noRedis !== null)(
    'the check of Redis passes with the password and fails without it',
    async () => {
      const { command: [name = '', ...args] = [], healthcheck, environment } = services.redis
      expect(name).toBe('redis-server')
      const folder = createFolder('redis')
      const port = String(await freePort())
      const [kind, test = ''] = healthcheck?.test ?? []
      expect(kind).toBe('CMD-SHELL')
      const check = (auth: Record<string, string>) =>
        run('sh', ['-c', test.replace('redis-cli', `redis-cli -p ${port}`)], {
          env: { PATH: process.env.PATH, ...auth },
        })
      const file = getBinary(['redis-server', 'valkey-server'], 'redis-server')
      const server = await startServer(
        {
          file,
          args: ['--port', port, '--bind', '127.0.0.1', '--dir', folder, ...args],
          folder,
          owner: null,
        },
        async () => void (await check(environment ?? {})),
      )
      try {
        await expect(check({ REDISCLI_AUTH: 'wrong' })).rejects.toThrow()
        await expect(check({})).rejects.toThrow()
      } finally {
        await server.stop()
        removeFolder(folder)
      }
    },
  )

  const noOpenssl = whyMissing(['openssl'], 'openssl')
  test.skipIf(noOpenssl !== null)('the command of docs/docker.md creates the file with its passwords', () => {
    const line = blockOf('docs/docker.md', 'cd deploy')
      .text.split('\n')
      .find((each) => each.startsWith('(umask 077'))
    const folder = createFolder('compose')
    execFileSync('sh', ['-c', line ?? ''], { cwd: folder })
    const values = parseEnv(readFileSync(join(folder, '.env'), 'utf8'))
    expect(statSync(join(folder, '.env')).mode & 0o777).toBe(0o600)
    expect(filledIn(read('deploy/compose.yaml'), values)).toContain(
      `hufu:${values.DATABASE_PASSWORD}@mariadb`,
    )
    for (const value of Object.values(values)) expect(value).toMatch(/^[0-9a-f]{48}$/)
    expect(() => filledIn(read('deploy/compose.yaml'), {})).toThrow('has no value')
    removeFolder(folder)
  })
})
