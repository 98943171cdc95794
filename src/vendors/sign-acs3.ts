// Alibaba Cloud's signature version 3, ACS3-HMAC-SHA256:
// https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature
import { createHash, createHmac } from 'node:crypto'

/** A POST to `/` without a body, in the RPC style of the API: all parameters are in the query. */
export interface Acs3Request {
  readonly host: string
  readonly action: string
  readonly version: string
  readonly parameters: Readonly<Record<string, string>>
  /** Milliseconds since 1970 UTC. The gateway refuses a time that is 15 minutes or more from its own. */
  readonly now: number
  /** A value that is never repeated. */
  readonly nonce: string
}

export interface AccessKey {
  readonly id: string
  readonly secret: string
}

/** The query and the headers of a signed request. `host` is signed too; the HTTP client sends it. */
export function signAcs3(request: Acs3Request, key: AccessKey) {
  const query = canonicalQuery(request.parameters)
  const bodyHash = sha256('')
  const headers = {
    'x-acs-action': request.action,
    'x-acs-content-sha256': bodyHash,
    'x-acs-date': new Date(request.now).toISOString().replace(/\.\d{3}Z$/, 'Z'),
    'x-acs-signature-nonce': request.nonce,
    'x-acs-version': request.version,
  }
  // Sorted by name, as the algorithm requires.
  const signed = Object.entries({ host: request.host, ...headers })
  const names = signed.map(([name]) => name).join(';')
  const lines = signed.map(([name, value]) => `${name}:${value}\n`).join('')
  const canonicalRequest = ['POST', '/', query, lines, names, bodyHash].join('\n')
  const signature = createHmac('sha256', key.secret)
    .update(`ACS3-HMAC-SHA256\n${sha256(canonicalRequest)}`)
    .digest('hex')
  const authorization = `ACS3-HMAC-SHA256 Credential=${key.id},SignedHeaders=${names},Signature=${signature}`
  return { query, headers: { ...headers, authorization } }
}

function canonicalQuery(parameters: Readonly<Record<string, string>>): string {
  return Object.keys(parameters)
    .toSorted()
    .map((name) => `${percentEncoded(name)}=${percentEncoded(parameters[name] ?? '')}`)
    .join('&')
}

/** RFC 3986: encodes everything but unreserved characters. */
function percentEncoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
