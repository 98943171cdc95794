/** A private nginx with the file of deploy/ for operators; only paths and ports are replaced. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getBinary } from './binaries.ts'
import { createFolder, removeFolder } from './folders.ts'
import { freePort } from './ports.ts'
import { run, startServer } from './processes.ts'

export type Nginx = {
  readonly url: string
  readonly pid: number
  /** Its log lines about broken connections to servers after data was sent on them. */
  readonly broken: () => string[]
  stop(): Promise<void>
}

const deployed = fileURLToPath(new URL('../../../deploy/nginx.conf', import.meta.url))

/** Starts nginx in front of two servers on these ports of 127.0.0.1; throws MissingBinary. */
export async function startNginx(
  ports: readonly [number, number],
  change: (text: string) => string = (text) => text,
): Promise<Nginx> {
  const port = await freePort()
  return startNginxWith(change(withPlaces(readFileSync(deployed, 'utf8'), port, ports)), port)
}

/** Starts nginx with this inside of `http`, which listens on the port of 127.0.0.1; throws MissingBinary. */
export async function startNginxWith(text: string, port: number): Promise<Nginx> {
  const { file, folder, args } = prepare(text)
  const url = `http://127.0.0.1:${port}`
  // After SIGKILL of the master its workers would live on; SIGTERM ends all of them at once.
  const command = { file, args, folder, owner: null, abort: 'SIGTERM' } as const
  // nginx itself answers this one, with or without a server behind it.
  const server = await startServer(command, async () => void (await fetch(`${url}/readyz`)))
  return {
    url,
    pid: server.pid,
    broken: () =>
      readFileSync(join(folder, 'error.log'), 'utf8').match(/^.*(?:prematurely|reset by peer).*$/gm) ?? [],
    async stop() {
      await server.stop()
      removeFolder(folder)
    },
  }
}

/** Lets nginx check the file of deploy/, unchanged or changed by `change`; throws with nginx's error. */
export async function checkConfiguration(change: (text: string) => string = (text) => text): Promise<void> {
  const { file, folder, args } = prepare(change(readFileSync(deployed, 'utf8')))
  await run({ file, args: ['-t', ...args], folder, owner: null })
  removeFolder(folder)
}

/** The text with its one such line replaced; throws where it does not occur exactly once. */
export function replaceOnce(text: string, from: string, to: string): string {
  const parts = text.split(from)
  const [before = '', after = ''] = parts
  if (parts.length !== 2) throw new Error(`"${from}" is there ${parts.length - 1} times and not once`)
  return before + to + after
}

function withPlaces(text: string, port: number, [first, second]: readonly [number, number]): string {
  const listening = replaceOnce(text, '\n  listen 80;', `\n  listen 127.0.0.1:${port};`)
  const withFirst = replaceOnce(listening, 'server 127.0.0.1:5001 ', `server 127.0.0.1:${first} `)
  return replaceOnce(withFirst, 'server 127.0.0.1:5002 ', `server 127.0.0.1:${second} `)
}

/** A folder with all files that nginx reads and writes: the file inside of a distribution's nginx.conf. */
function prepare(text: string) {
  const file = getBinary(['nginx'], 'nginx')
  const folder = createFolder('nginx')
  writeFileSync(join(folder, 'hufu.conf'), text)
  writeFileSync(join(folder, 'nginx.conf'), mainConfiguration(folder))
  return { file, folder, args: ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'] }
}

function mainConfiguration(folder: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return [
    // Otherwise the workers of root's nginx run as another user, which cannot enter the folder.
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    'daemon off;',
    'worker_processes 2;',
    `pid ${join(folder, 'pid')};`,
    `error_log ${join(folder, 'error.log')};`,
    'events { worker_connections 1024; }',
    'http {',
    ...temporary.map((name) => `  ${name}_temp_path ${join(folder, name)};`),
    `  access_log ${join(folder, 'access.log')};`,
    `  include ${join(folder, 'hufu.conf')};`,
    '}',
    '',
  ].join('\n')
}
