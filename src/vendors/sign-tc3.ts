// Tencent Cloud's signature version 3, TC3-HMAC-SHA256: https://cloud.tencent.com/document/api/213/30654
import { createHash, createHmac } from 'node:crypto'

/** A POST to `/`. */
export interface Tc3Request {
  /** The product, as the first word of its host, for example `sms`. */
  readonly service: string
  /**
   * The signed headers: `content-type` and `host` at least, names in lower case. The body is signed as well.
   */
  readonly signedHeaders: Readonly<Record<string, string>>
  readonly body: string
  /** Milliseconds since 1970 UTC. The gateway refuses a time that is 5 minutes or more from its own. */
  readonly now: number
}

export interface SecretKey {
  readonly id: string
  readonly key: string
}

/** The values of the headers `authorization` and `x-tc-timestamp`. */
export function signTc3({ service, signedHeaders, body, now }: Tc3Request, secret: SecretKey) {
  const timestamp = String(Math.floor(now / 1000))
  // The day in UTC: with the local one, every call between local midnight and UTC midnight would be refused.
  const date = new Date(now).toISOString().slice(0, 10)
  const names = Object.keys(signedHeaders).toSorted()
  const lines = names.map((name) => `${name}:${signedHeaders[name]?.trim().toLowerCase()}\n`).join('')
  const canonicalRequest = ['POST', '/', '', lines, names.join(';'), sha256(body)].join('\n')
  const scope = `${date}/${service}/tc3_request`
  const toSign = ['TC3-HMAC-SHA256', timestamp, scope, sha256(canonicalRequest)].join('\n')
  const key = hmac(hmac(hmac(`TC3${secret.key}`, date), service), 'tc3_request')
  const signature = hmac(key, toSign).toString('hex')
  const authorization = `TC3-HMAC-SHA256 Credential=${secret.id}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  return { authorization, timestamp }
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
