// Comments and test names: one text width, and no phrase without a clear subject.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folders = ['src', 'sdk/src', 'sdk/scripts', 'test', 'bench']
/** A generated file, and a list of passwords. */
const otherTexts = ['sdk/src/api-types.ts', 'src/passwords/common-passwords-list.ts']

/** The formatter's line width, which it does not apply to comments. */
const maxWidth = 110

/**
 * Words of this project alone, and phrases that hide the subject. The terms of the field are in their place:
 * scenario, mutant, baseline, connection, expire, end, report.
 */
const banned: readonly RegExp[] = [
  /\b(whoever|somebody|nobody|everybody|anybody)\b/i,
  /(^|[.:;!] )Who\b(?![^.]*\?)/,
  /\b(of|for|by|with|to|than|and|or|but|where|as|that|those|one|ones) who\b/i,
  /\b(the truth|house|short way|believes?|believed)\b/i,
  /\b(told|tells|stands?|strangers?|spoilt|planted|yardsticks?|newcomers?)\b/i,
  /\b(plays?|played|anew|by hand|so many|in step|let go|made good|over and over again)\b/i,
  /\br[ua]ns? out\b/i,
  /\b(is|are|was|were) over\b/i,
  /\b(well|good) again\b/i,
  /\blines? to (the )?(Redis|database|server|store)/i,
  /\b(says?|said) of\b/i,
]

interface Text {
  readonly place: string
  readonly text: string
}

function filesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => `${folder}/${String(name)}`)
    .filter((file) => /\.(ts|js)$/.test(file) && !/\/(node_modules|dist)\//.test(file))
}

const files = folders
  .flatMap(filesIn)
  .filter((file) => !otherTexts.includes(file) && file !== 'test/docs/comments.test.ts')

/** The blocks of comment lines of a file, each as one text. */
function commentsOf(file: string, lines: readonly string[]): Text[] {
  const found: Text[] = []
  lines.forEach((line, i) => {
    const [, text] = /^\s*(?:\/\/|\/?\*+)(?!\/) ?(.*?)(?: ?\*\/)?$/.exec(line) ?? []
    if (text === undefined) return
    const last = found.at(-1)
    const goesOn = last && !/^\s*\/\*/.test(line) && /^\s*(\/\/|\/?\*)/.test(lines[i - 1] ?? '')
    if (goesOn) found[found.length - 1] = { ...last, text: `${last.text} ${text}` }
    else found.push({ place: `${file}:${i + 1}`, text })
  })
  return found
}

function testNamesOf(file: string, source: string): Text[] {
  const calls = /\b(?:test|describe|usable)\b[^'"`\n]*\(\s*(['"`])(.*?)(?<!\\)\1/g
  const rows = /\bname: (['"`])(.*?)(?<!\\)\1/g
  const names = [...source.matchAll(calls), ...source.matchAll(rows)]
  return names.map(([, , text = '']) => ({ place: file, text }))
}

test('no comment line is wider than the code', () => {
  const wide = files.flatMap((file) =>
    linesOf(file).flatMap((line, i) =>
      /^\s*(\/\/|\/?\*)/.test(line) && line.length > maxWidth && /\S\s+\S+\s/.test(line)
        ? [`${file}:${i + 1}`]
        : [],
    ),
  )
  expect(wide).toEqual([])
})

test('comments and test names have a subject and no private words', () => {
  const texts = files.flatMap((file) => {
    const lines = linesOf(file)
    return [...commentsOf(file, lines), ...testNamesOf(file, lines.join('\n'))]
  })
  expect(texts.length).toBeGreaterThan(5_000)
  expect(texts.filter(({ text }) => banned.some((phrase) => phrase.test(text)))).toEqual([])
})

test('each file but a unit test says on top what it is for', () => {
  const all = folders.flatMap(filesIn).filter((file) => !/^(src|sdk\/src)\/.*\.test\.ts$/.test(file))
  const first = (file: string) => linesOf(file).find((line) => !line.startsWith('#!')) ?? ''
  expect(all.filter((file) => !/^(\/\/ |\/\*)/.test(first(file)))).toEqual([])
})

function linesOf(file: string): string[] {
  return readFileSync(join(root, file), 'utf8').split('\n')
}
