/** Certificates for test servers, made by `openssl`. */

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { getBinary } from './binaries.ts'
import { createFolder, removeFolder } from './folders.ts'

/** The certificate authority. */
export interface Authority {
  /** PEM, for clients that trust it. */
  readonly certificate: string
  readonly file: string
  /** The files of a server's certificate, with the names of Redis's options. */
  issue(subject?: Subject): TlsFiles
  remove(): void
}

interface Subject {
  /** As in `subjectAltName`; 127.0.0.1 by default. */
  readonly name?: string
  /** Days; a negative number makes an expired one. */
  readonly days?: number
}

export interface TlsFiles {
  readonly certificate: string
  readonly key: string
  readonly authority: string
}

/** Creates a certificate authority; throws MissingBinary. */
export function createAuthority(name: string): Authority {
  const openssl = getBinary(['openssl'], 'openssl')
  const folder = createFolder('certificates')
  const run = (...words: string[]) => {
    const { status, stderr } = spawnSync(openssl, words, { cwd: folder, encoding: 'utf8' })
    if (status !== 0) throw new Error(`openssl ${words[0]}: ${stderr}`)
  }
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  run('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', `/CN=${name}`)
  let count = 0
  return {
    certificate: readFileSync(join(folder, 'ca.pem'), 'utf8'),
    file: join(folder, 'ca.pem'),
    issue({ name: subject = 'IP:127.0.0.1', days = 2 } = {}) {
      const own = `server${++count}`
      writeFileSync(join(folder, `${own}.ext`), `subjectAltName=${subject}\n`)
      run('req', ...newKey, '-keyout', `${own}.key`, '-out', `${own}.csr`, '-subj', '/CN=redis')
      const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', `${own}.ext`]
      run('x509', '-req', '-in', `${own}.csr`, ...signer, '-days', `${days}`, '-out', `${own}.pem`)
      const file = (end: string) => join(folder, `${own}.${end}`)
      return { certificate: file('pem'), key: file('key'), authority: join(folder, 'ca.pem') }
    },
    remove: () => removeFolder(folder),
  }
}
