// systemd and nginx accept the files of deploy/.
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { getBinary, whyMissing } from '../support/services/binaries.ts'
import { createFolder, removeFolder } from '../support/services/folders.ts'
import { checkConfiguration, replaceOnce } from '../support/services/nginx.ts'

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
    const serve = readFileSync(fileURLToPath(new URL('../../src/cli/serve.ts', import.meta.url)), 'utf8')
    const [, stopWithin = ''] = /stopWithinMs = ([\d_]+)/.exec(serve) ?? []
    const [, timeout = ''] = /^TimeoutStopSec=(\d+)s$/m.exec(unit) ?? []
    expect(Number(timeout) * 1000).toBeGreaterThan(Number(stopWithin.replaceAll('_', '')))
  })
})

describe.skipIf(whyMissing(['nginx'], 'nginx') !== null)('deploy/nginx.conf', () => {
  test('is accepted by nginx unchanged, and a wrong one is not', async () => {
    await checkConfiguration()
    await expect(
      checkConfiguration((text) => replaceOnce(text, 'least_conn;', 'most_conn;')),
    ).rejects.toThrow('most_conn')
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
