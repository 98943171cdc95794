// systemd and nginx accept the files of deploy/.
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { stopWithinMs } from '../../src/cli/signals.ts'
import { getBinary, whyMissing } from '../support/services/binaries.ts'
import { createFolder, removeFolder } from '../support/services/folders.ts'
import { checkConfiguration, replaceOnce, startNginx } from '../support/services/nginx.ts'

const run = promisify(execFile)
const unit = readFileSync(fileURLToPath(new URL('../../deploy/hufu@.service', import.meta.url)), 'utf8')
const installedNode = '/opt/hufu/current/node_modules/.bin/node'

describe.skipIf(whyMissing(['systemd-analyze'], 'systemd') !== null)('deploy/hufu@.service', () => {
  /** The complaints of systemd about the unit, on a machine that has its program; none if all is well. */
  async function verify(text: string): Promise<string> {
    const folder = createFolder('unit')
    const file = join(folder, 'hufu@5001.service')
    writeFileSync(file, text)
    const { stdout, stderr } = await run(getBinary(['systemd-analyze'], 'systemd'), [
      'verify',
      '--man=no',
      file,
    ]).catch((error: { stdout: string; stderr: string }) => error)
    removeFolder(folder)
    return stdout + stderr
  }
  const installed = replaceOnce(unit, `ExecStart=${installedNode}`, `ExecStart=${process.execPath}`)

  test('is a unit without complaints from systemd', async () => {
    expect(await verify(installed)).toBe('')
    expect(await verify(`${installed.replace('Restart=on-failure', 'Restart=never-ever')}`)).toContain(
      'never-ever',
    )
  })

  test('gives the server enough time to stop', () => {
    const [, timeout = ''] = /^TimeoutStopSec=(\d+)s$/m.exec(unit) ?? []
    expect(Number(timeout) * 1000).toBeGreaterThan(stopWithinMs)
  })
})

describe.skipIf(whyMissing(['nginx'], 'nginx') !== null)('deploy/nginx.conf', () => {
  test('is accepted by nginx unchanged, and a wrong one is not', async () => {
    await checkConfiguration()
    await expect(
      checkConfiguration((text) => replaceOnce(text, 'least_conn;', 'most_conn;')),
    ).rejects.toThrow('most_conn')
  })

  test('allows 200 requests at once from one address, and refuses the next one', async () => {
    const nginx = await startNginx([1, 1])
    const { port } = new URL(nginx.url)
    const status = async () => (await fetch(`${nginx.url}/v1/session`)).status
    const sockets = Array.from({ length: 200 }, () => connect(Number(port), '127.0.0.1'))
    const answers = sockets.map(() => '')
    try {
      // nginx asks a client that it allows for its body, which never comes.
      const head =
        'POST /v1/sessions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n'
      for (const [i, socket] of sockets.entries()) {
        socket
          .on('error', () => {})
          .on('data', (data) => {
            answers[i] = `${answers[i]}${data}`
          })
        socket.write(head)
      }
      const asked = 'HTTP/1.1 100 Continue\r\n\r\n'
      await expect.poll(() => answers, { timeout: 10_000 }).toEqual(sockets.map(() => asked))
      expect(await status()).toBe(429)
      sockets[0]?.destroy()
      // There is no server behind it.
      await expect.poll(status, { timeout: 10_000 }).toBe(502)
      expect(answers).toEqual(sockets.map(() => asked))
    } finally {
      for (const socket of sockets) socket.destroy()
      await nginx.stop()
    }
  })

  const noOpenssl = whyMissing(['openssl'], 'openssl') !== null
  test.skipIf(noOpenssl)('is accepted with TLS and the redirect as well', async () => {
    const folder = createFolder('tls')
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
    const subject = ['-subj', '/CN=hufu.example.com', '-keyout', key, '-out', certificate]
    await run('openssl', ['req', '-x509', '-nodes', '-newkey', 'rsa:2048', ...subject])
    await checkConfiguration((text) => {
      const withTls = replaceOnce(text, '\n  listen 80;', '').replace(/^ {2}# (listen 443|ssl_)/gm, '  $1')
      const withRedirect = withTls.replace(/^# (server \{|}| {2}.*)$/gm, '$1')
      expect(withRedirect.match(/^server \{$/gm)).toHaveLength(2)
      const withKey = replaceOnce(withRedirect, '/etc/ssl/hufu/privkey.pem', key)
      return replaceOnce(withKey, '/etc/ssl/hufu/fullchain.pem', certificate)
    })
    removeFolder(folder)
  })
})
