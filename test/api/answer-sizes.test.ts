// No response is one large JSON text: writing 256 KiB of JSON at once blocks every other request. The maximum
// length of each response follows from its schema; responses without such a bound are streamed.
import { expect, test } from 'vitest'
import { printableAscii } from '../../src/http/patterns.ts'
import { startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'

const maxBytes = 256 * 1024
/** A text without a bound of its own: the longest column in a response, or a sentence of the program. */
const longestText = 2_048
/** Bytes in UTF-8; these texts contain no characters that JSON escapes. */
const bytesOfCodePoint = 4
/** JSON escapes `"` and `\\`. */
const bytesOfAscii = 2

/** Responses without a bound in their schema, and what bounds them. */
const otherwise: Readonly<Record<string, string>> = {
  AccountExport: 'streamed, a page at a time',
  'Problem.fields': 'repeats parts of one request, whose body has 16 KiB at most',
}

interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly maxItems?: number
  readonly maxLength?: number
  readonly format?: string
  readonly pattern?: string
  readonly enum?: readonly unknown[]
  readonly const?: unknown
}

interface Document {
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { readonly responses?: Readonly<Record<string, ResponseOf>> }>>>
  >
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

interface ResponseOf {
  readonly content?: Readonly<Record<string, { readonly schema?: Schema }>>
}

/** The maximum size of JSON by its schema; infinite where a list has no `maxItems`. */
class Sizes {
  readonly #schemas: Document['components']['schemas']
  readonly unbounded = new Set<string>()

  constructor({ components }: Document) {
    this.#schemas = components.schemas
  }

  of(schema: Schema, path: string): number {
    if (path in otherwise) return 0
    if (schema.$ref !== undefined) {
      const name = schema.$ref.split('/').at(-1) ?? ''
      return this.of(this.#schemas[name] ?? expect.fail(schema.$ref), name)
    }
    if (schema.anyOf) return Math.max(...schema.anyOf.map((one) => this.of(one, path)))
    const fixed = schema.enum ?? (schema.const === undefined ? null : [schema.const])
    if (fixed) return Math.max(...fixed.map((value) => Buffer.byteLength(JSON.stringify(value))))
    return this.#ofType(schema, path)
  }

  #ofType(schema: Schema, path: string): number {
    const { properties = {}, items = {}, maxItems, maxLength = longestText } = schema
    switch (schema.type) {
      case 'object': {
        const members = Object.entries(properties)
        const lengths = members.map(
          ([name, inner]) => name.length + '"":,'.length + this.of(inner, `${path}.${name}`),
        )
        return lengths.reduce((sum, length) => sum + length, '{}'.length)
      }
      case 'array':
        if (maxItems === undefined) this.unbounded.add(path)
        return '[]'.length + (maxItems ?? 0) * (1 + this.of(items, path))
      case 'string':
        if (schema.format === 'date-time') return '"2026-11-22T16:15:49.089Z"'.length
        return '""'.length + maxLength * (schema.pattern === printableAscii ? bytesOfAscii : bytesOfCodePoint)
      default:
        // A number, a boolean or null.
        return 25
    }
  }
}

async function fetchDocument(): Promise<Document> {
  const { url, drop } = await (databases[0] ?? expect.fail()).create()
  const app = await startApp(url)
  const document = (await (await fetch(`${app.url}/openapi.json`)).json()) as Document
  await app.close()
  await drop()
  return document
}

test('each JSON response has at most 256 KiB by its schema, or is streamed', async () => {
  const document = await fetchDocument()
  const sizes = new Sizes(document)
  const large: string[] = []
  let seen = 0
  for (const [path, methods] of Object.entries(document.paths))
    for (const [method, { responses = {} }] of Object.entries(methods))
      for (const [status, { content = {} }] of Object.entries(responses))
        for (const [type, { schema }] of Object.entries(content)) {
          if (!type.includes('json') || !schema) continue
          const what = `${method} ${path} ${status}`
          const bytes = sizes.of(schema, what)
          seen++
          if (bytes > maxBytes) large.push(`${what}: ${bytes}`)
        }
  expect(seen).toBeGreaterThan(50)
  expect([...sizes.unbounded]).toEqual([])
  expect(large).toEqual([])
})
