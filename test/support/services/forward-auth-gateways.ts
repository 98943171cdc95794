/** Private nginx, Caddy and HAProxy with the files of deploy/forward-auth; ports, paths and keys differ. */

import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getBinary } from './binaries.ts'
import { createFolder, removeFolder } from './folders.ts'
import { replaceOnce, startNginxWith } from './nginx.ts'
import { freePort } from './ports.ts'
import { startServer } from './processes.ts'

export interface Gateway {
  readonly url: string
  stop(): Promise<void>
}

interface GatewayOptions {
  /** The port of the operator's own API. */
  readonly api: number
  /** The port of Hufu. */
  readonly hufu: number
  readonly key: string
  /** Changes the Lua file of HAProxy. */
  readonly script?: (text: string) => string
}

const deployed = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../../deploy/forward-auth/${name}`, import.meta.url)), 'utf8')

function replaceEach(text: string, pairs: readonly (readonly [string, string])[]): string {
  return pairs.reduce((all, [from, to]) => replaceOnce(all, from, to), text)
}

/** Any answer of the gateway, with or without servers behind it. */
const answers = (url: string) => async () => void (await fetch(url))

async function startNginxGateway({ api, hufu, key }: GatewayOptions): Promise<Gateway> {
  const port = await freePort()
  const text = replaceEach(deployed('nginx.conf'), [
    ['listen 80;', `listen 127.0.0.1:${port};`],
    ['127.0.0.1:8000', `127.0.0.1:${api}`],
    ['127.0.0.1:5001', `127.0.0.1:${hufu}`],
    ['  server 127.0.0.1:5002 max_fails=0;\n', ''],
    ['hfk_your_key', key],
  ])
  return await startNginxWith(text, port)
}

async function startCaddyGateway({ api, hufu, key }: GatewayOptions): Promise<Gateway> {
  const file = getBinary(['caddy'], 'caddy')
  const [port, folder] = [await freePort(), createFolder('caddy')]
  const text = replaceEach(deployed('Caddyfile'), [
    ['http://api.example.com:80', `http://127.0.0.1:${port}`],
    ['127.0.0.1:8000', `127.0.0.1:${api}`],
    ['127.0.0.1:5001 127.0.0.1:5002', `127.0.0.1:${hufu}`],
  ])
  writeFileSync(join(folder, 'Caddyfile'), `{\n\tadmin off\n}\n\n${text}`)
  const args = ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile']
  const environment = { HUFU_KEY: key, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder, HOME: folder }
  const url = `http://127.0.0.1:${port}`
  const server = await startServer({ file, args, folder, owner: null, environment }, answers(url))
  return { url, stop: () => server.stop().then(() => removeFolder(folder)) }
}

async function startHaproxyGateway({ api, hufu, key, script: change }: GatewayOptions): Promise<Gateway> {
  const file = getBinary(['haproxy'], 'haproxy')
  const [port, folder] = [await freePort(), createFolder('haproxy-gateway')]
  const script = join(folder, 'hufu-forward-auth.lua')
  const lua = deployed('hufu-forward-auth.lua')
  writeFileSync(script, change ? change(lua) : lua)
  const configuration = join(folder, 'haproxy.cfg')
  const text = replaceEach(deployed('haproxy.cfg'), [
    ['bind :80', `bind 127.0.0.1:${port}`],
    ['127.0.0.1:8000', `127.0.0.1:${api}`],
    ['127.0.0.1:5001', `127.0.0.1:${hufu}`],
    ['hfk_your_key', key],
    ['/etc/haproxy/hufu-forward-auth.lua', script],
  ])
  writeFileSync(configuration, text)
  chmodSync(folder, 0o755)
  const url = `http://127.0.0.1:${port}`
  const args = ['-db', '-f', configuration]
  const server = await startServer({ file, args, folder, owner: null }, answers(url))
  return { url, stop: () => server.stop().then(() => removeFolder(folder)) }
}

/** What Caddy makes of its file, as JSON. Throws MissingBinary. */
export function adaptedCaddyfile(): unknown {
  const folder = createFolder('caddy-adapt')
  try {
    writeFileSync(join(folder, 'Caddyfile'), deployed('Caddyfile'))
    const args = ['adapt', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile']
    const env = { HUFU_KEY: 'hfk_your_key', XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder, HOME: folder }
    return JSON.parse(execFileSync(getBinary(['caddy'], 'caddy'), args, { env, encoding: 'utf8' }))
  } finally {
    removeFolder(folder)
  }
}

/** By the name of the program and of its package. Each throws MissingBinary. */
export const forwardAuthGateways = {
  nginx: startNginxGateway,
  caddy: startCaddyGateway,
  haproxy: startHaproxyGateway,
} as const
