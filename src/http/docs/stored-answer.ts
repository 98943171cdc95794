// Responses that are the same bytes for every client: compressed once, with a strong ETag, so that a client
// that has them gets 304.
import { hash } from 'node:crypto'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { addVary } from '../answer-headers.ts'

/** The supported content codings, the preferred one first. */
const codings = ['br', 'gzip'] as const
type Coding = (typeof codings)[number] | 'identity'

export interface StoredAnswer {
  readonly contentType: string
  readonly cacheControl: string
  /** The hash of the uncompressed bytes. */
  readonly hash: string
  /** `identity` is missing where the bytes are only ever sent compressed. */
  readonly bytes: Readonly<Record<'br' | 'gzip', Uint8Array>> & { readonly identity?: Uint8Array }
}

/** 4 and 5 differ by 8 % in size, 5 and 11 by some 15 %; 11 takes ten times as long. */
const brotliQuality = 5

/** Compresses in libuv's threads, so the event loop is not blocked. */
export async function storeAnswer(
  identity: Uint8Array,
  about: Pick<StoredAnswer, 'contentType' | 'cacheControl'>,
  { alwaysCompressed = false } = {},
): Promise<StoredAnswer> {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: brotliQuality,
    [constants.BROTLI_PARAM_SIZE_HINT]: identity.byteLength,
  }
  const [br, zipped] = await Promise.all([
    promisify(brotliCompress)(identity, { params }),
    promisify(gzip)(identity),
  ])
  return {
    ...about,
    hash: hash('sha256', identity, 'base64url').slice(0, 22),
    bytes: { br, gzip: zipped, ...(!alwaysCompressed && { identity }) },
  }
}

/** Sends the bytes in a coding that the client accepts, or 304 where the client has them. */
export function sendStored(request: FastifyRequest, reply: FastifyReply, answer: StoredAnswer): FastifyReply {
  const accepted = codingFor(request.headers['accept-encoding'])
  const { identity = null } = answer.bytes
  const coding = accepted === 'identity' && identity === null ? 'gzip' : accepted
  // RFC 9110, section 8.8.3.3: two codings are two representations, so a strong ETag differs.
  const etag = `"${answer.hash}-${coding}"`
  reply.header('etag', etag).header('cache-control', answer.cacheControl)
  addVary(reply, 'accept-encoding')
  if (hasIt(request.headers['if-none-match'], etag)) return reply.code(304).send()
  if (coding !== 'identity') reply.header('content-encoding', coding)
  reply.type(answer.contentType)
  return reply.send(coding === 'identity' ? identity : answer.bytes[coding])
}

/**
 * RFC 9110, section 12.5.3. Without the header any coding is allowed, but tools like curl would then show
 * compressed bytes.
 */
export function codingFor(acceptEncoding: string | undefined): Coding {
  const weights = new Map<string, number>()
  for (const item of (acceptEncoding ?? '').slice(0, 200).toLowerCase().split(',')) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim())
    const weight = /^q=([01](?:\.\d{1,3})?)$/.exec(parameters[0] ?? 'q=1')?.[1]
    if (name !== '') weights.set(name, Number(weight ?? 0))
  }
  const weightOf = (name: string) => weights.get(name) ?? weights.get('*') ?? 0
  const best = codings.reduce((a, b) => (weightOf(b) > weightOf(a) ? b : a))
  const identity = weights.get('identity') ?? 0
  return weightOf(best) > 0 && weightOf(best) >= identity ? best : 'identity'
}

/** RFC 9110, section 13.1.2: compared weakly, because a proxy that compresses makes an ETag weak. */
function hasIt(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  return ifNoneMatch.split(',').some((one) => one.trim().replace(/^W\//, '') === etag)
}
