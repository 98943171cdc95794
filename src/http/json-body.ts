// JSON bodies, parsed strictly: UTF-8, no `__proto__` members, no duplicate names, no lone surrogates,
// no compression.
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const surrogateEscape = /\\u[dD][89a-fA-F]/

/** Accepts exactly `application/json` (RFC 8259), and refuses what can be read in two ways. */
export function acceptJsonOnly(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  forgetTypesOfNothing(app)
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      // `parseAs: 'buffer'` gives a Buffer. Some clients send their content type with every request, also
      // without a body.
      if ((body as Buffer).length === 0 && !request.routeOptions.schema?.body) return done(null, undefined)
      assertPlainUtf8(request)
      // `parseAs: 'buffer'` gives a Buffer.
      const text = utf8.decode(body as Buffer)
      // RFC 8259, section 8.1.
      if (text.startsWith('\uFEFF')) throw new AppError('invalid_json')
      parseJson(request, text, (error, value) => {
        if (error) return done(new AppError('invalid_json', {}, { cause: error }))
        if (hasDoubledName(text, value)) return done(new AppError('invalid_json'))
        if (surrogateEscape.test(text) && hasHalfCharacter(value)) return done(new AppError('invalid_json'))
        done(null, value)
      })
    } catch (error) {
      done(error instanceof AppError ? error : new AppError('invalid_json', {}, { cause: error }))
    }
  })
}

/**
 * Some platforms send a content type with a POST that has no body (DingTalk: a form). Where a route takes no
 * body and none was sent, its type is dropped before the framework refuses it.
 */
function forgetTypesOfNothing(app: FastifyInstance): void {
  app.addHook('preParsing', ({ headers, routeOptions }, _reply, _payload, done) => {
    const isEmpty = (headers['content-length'] ?? '0') === '0' && headers['transfer-encoding'] === undefined
    if (isEmpty && !routeOptions.schema?.body) delete headers['content-type']
    done()
  })
}

function assertPlainUtf8({ headers }: FastifyRequest): void {
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(headers['content-type'] ?? '')?.[1] ?? 'utf-8'
  if (!/^utf-?8$/i.test(charset)) throw new AppError('unsupported_media_type')
  const encoding = headers['content-encoding'] ?? 'identity'
  if (encoding.toLowerCase() !== 'identity') throw new AppError('unsupported_media_type')
}

/**
 * Whether an object has a name twice (RFC 8259, section 4: a parser may keep either). Each name in the text
 * is followed by a colon, and the parsed value has each name once.
 */
function hasDoubledName(text: string, value: unknown): boolean {
  const written = text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '').split(':').length - 1
  let read = 0
  for (const item of everything(value))
    if (typeof item === 'object' && item !== null && !Array.isArray(item)) read += Object.keys(item).length
  return written !== read
}

/** Whether any text inside has a lone surrogate. */
function hasHalfCharacter(value: unknown): boolean {
  for (const item of everything(value)) if (typeof item === 'string' && !item.isWellFormed()) return true
  return false
}

/** A value and everything in it, names too. It uses no recursion, because the client chooses the depth. */
function* everything(value: unknown): Generator<unknown> {
  const rest = [value]
  while (rest.length > 0) {
    const item = rest.pop()
    yield item
    if (typeof item !== 'object' || item === null) continue
    for (const [key, inner] of Object.entries(item)) rest.push(key, inner)
  }
}
