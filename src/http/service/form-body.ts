// Bodies of `application/x-www-form-urlencoded`, as OAuth has them, parsed strictly.
import type { FastifyInstance } from 'fastify'
import { AppError } from '../../errors.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The routes of `app` take forms and nothing else. A parameter that is there twice is refused (RFC 6749,
 * section 3.2): two programs could read different ones.
 */
export function acceptFormsOnly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = request.headers
      if (!isFormType(type) || encoding.toLowerCase() !== 'identity') throw new AppError('form_expected')
      // `parseAs: 'buffer'` gives a Buffer.
      done(null, parseForm(body as Buffer))
    } catch (error) {
      done(error instanceof AppError ? error : new AppError('bad_request', {}, { cause: error }))
    }
  })
}

/** Whether a `Content-Type` is that of a form. */
export function isFormType(type: string): boolean {
  return /^application\/x-www-form-urlencoded(\s*;\s*charset\s*=\s*"?utf-?8"?)?\s*$/i.test(type)
}

function parseForm(body: Buffer): Record<string, string> {
  const fields = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(utf8.decode(body))) {
    if (fields.has(name)) throw new AppError('bad_request')
    fields.set(name, value)
  }
  return Object.fromEntries(fields)
}
