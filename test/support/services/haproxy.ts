/** A private HAProxy in front of database servers: one of them at a time takes connections. */

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { getBinary } from './binaries.ts'
import { createFolder, removeFolder } from './folders.ts'
import { freePort } from './ports.ts'
import { startServer } from './processes.ts'

export type Haproxy = {
  /** The URL of the first target, through the proxy. */
  readonly url: string
  /** New connections lead to the host and port of this URL; those that are open stay where they are. */
  leadTo(targetUrl: string): Promise<void>
  stop(): Promise<void>
}

/** Starts HAProxy in front of the host and port of this URL. Throws MissingBinary. */
export async function startHaproxy(targetUrl: string): Promise<Haproxy> {
  const file = getBinary(['haproxy'], 'haproxy')
  const folder = createFolder('haproxy')
  const port = await freePort()
  const socket = join(folder, 'admin')
  const configuration = join(folder, 'haproxy.cfg')
  writeFileSync(configuration, configurationOf(port, socket, targetUrl))
  const command = { file, args: ['-db', '-f', configuration], folder, owner: null } as const
  const server = await startServer(command, async () => void (await order(socket, 'show info')))
  const url = new URL(targetUrl)
  url.hostname = '127.0.0.1'
  url.port = `${port}`
  return {
    url: url.href,
    async leadTo(next) {
      const target = new URL(next)
      await order(socket, `set server databases/primary addr ${target.hostname} port ${target.port}`)
    },
    async stop() {
      await server.stop()
      removeFolder(folder)
    },
  }
}

function configurationOf(port: number, socket: string, targetUrl: string): string {
  return [
    'global',
    `  stats socket ${socket} level admin`,
    '  maxconn 500',
    'defaults',
    '  mode tcp',
    '  timeout connect 2s',
    '  timeout client 1h',
    '  timeout server 1h',
    `listen databases`,
    `  bind 127.0.0.1:${port}`,
    `  server primary ${new URL(targetUrl).host}`,
    '',
  ].join('\n')
}

/** Sends one order of HAProxy's runtime interface, and returns the answer. */
async function order(socket: string, text: string): Promise<string> {
  const line = connect(socket)
  let answer = ''
  line.on('data', (chunk) => {
    answer += chunk
  })
  line.write(`${text}\n`)
  await once(line, 'close')
  if (/no such|unknown|invalid|permission denied/i.test(answer))
    throw new Error(`HAProxy refuses "${text}": ${answer}`)
  return answer
}
