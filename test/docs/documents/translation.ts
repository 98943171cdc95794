// What a Chinese page must share with its English page, and the differences between two pages.
import { dirname, join } from 'node:path'
import { chineseOf, read, withoutComments } from './blocks.ts'
import { scripts } from './scripts.ts'

/** A document: its path from the root of the repository, and its text. */
export interface Page {
  readonly path: string
  readonly text: string
}

interface Row {
  readonly line: number
  readonly cells: readonly string[]
}

interface Block {
  readonly line: number
  readonly language: string
  readonly text: string
}

/** A heading with the text under it, up to the next heading of any level. */
interface Section {
  readonly line: number
  /** The heading with its number signs; empty for the text above the first one. */
  readonly heading: string
  readonly tables: Row[][]
  readonly blocks: Block[]
  /** Everything else, the heading included. */
  readonly prose: string[]
}

/** The sections of a page, with separate tables and blocks. */
function sectionsOf(text: string): Section[] {
  const sections = [emptySection(1, '')]
  const lines = text.split('\n')
  for (let index = 0; index < lines.length; index++) {
    const [line = '', section = emptySection(0, '')] = [lines[index], sections.at(-1)]
    if (line.startsWith('```')) {
      const end = lines.indexOf('```', index + 1)
      const block = lines.slice(index + 1, end)
      section.blocks.push({ line: index + 1, language: line.slice(3), text: block.join('\n') })
      section.prose.push('')
      index = end
    } else if (/^#+ /.test(line)) {
      sections.push(emptySection(index + 1, line))
    } else if (line.startsWith('|')) {
      if (!lines[index - 1]?.startsWith('|')) section.tables.push([])
      const cells = line.slice(1, -1).split('|')
      section.tables.at(-1)?.push({ line: index + 1, cells: cells.map((cell) => cell.trim()) })
      section.prose.push('')
    } else {
      section.prose.push(line)
    }
  }
  return sections
}

const emptySection = (line: number, heading: string): Section => ({
  line,
  heading,
  tables: [],
  blocks: [],
  prose: [heading, ''],
})

/** The code of a text; a placeholder such as `<path>` may be in Chinese. */
const codesOf = (text: string): string[] =>
  [...text.matchAll(/(`+)(.+?)\1(?!`)/g)].map(([code]) => code.replaceAll(/<[^<>`]*>/g, '<…>'))
const linksOf = (text: string): string[] => [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = '']) => to)
const withoutCode = (text: string): string => text.replaceAll(/(`+).+?\1(?!`)/g, '`')

/** Numerals of a text in digits, without those of code, of links and of numbered lists. */
const numbersOf = (text: string): string[] =>
  (
    withoutCode(text)
      .replaceAll(/\]\([^)\s]+\)/g, '')
      .replaceAll(/^ *\d+\. /gm, '')
      .match(/\d+(?:[.,]\d+)*/g) ?? []
  ).map((number) => number.replaceAll(',', ''))

const words = 'zero one two three four five six seven eight nine ten eleven twelve'.split(' ')
/** Numbers that English spells out, which Chinese may write in digits. */
const spelledIn = (text: string): string[] =>
  (text.toLowerCase().match(/[a-z]+/g) ?? []).flatMap((word) =>
    words.includes(word) ? [String(words.indexOf(word))] : word === 'once' ? ['1'] : [],
  )

/** The first lines of the paragraphs and of the items of lists. */
const itemsOf = (prose: readonly string[]): number =>
  prose.filter((line) => /^ *(?:[-*]|\d+\.) /.test(line)).length
const paragraphsOf = (prose: readonly string[]): number =>
  prose.filter((line, index) => line !== '' && (prose[index - 1] ?? '') === '').length

const missingFrom = (some: readonly string[], others: readonly string[]): string[] => [
  ...new Set(some.filter((one) => !others.includes(one))),
]

/** Code, numbers and links that only one of two texts has. `linkOf` maps an English link. */
function textDifferences(english: string, chinese: string, linkOf: (to: string) => string): string[] {
  const differences: string[] = []
  const compare = (kind: string, expected: readonly string[], found: readonly string[]) => {
    for (const one of missingFrom(expected, found)) differences.push(`${kind} ${one} is missing`)
    for (const one of missingFrom(found, expected))
      differences.push(`${kind} ${one} is not in the English page`)
  }
  compare('the code', codesOf(english), codesOf(chinese))
  compare('the link', linksOf(english).map(linkOf), linksOf(chinese))
  const [expected, found] = [numbersOf(english), numbersOf(chinese)]
  for (const one of missingFrom(expected, found)) differences.push(`the number ${one} is missing`)
  for (const one of missingFrom(found, [...expected, ...spelledIn(english)]))
    differences.push(`the number ${one} is not in the English page`)
  return differences
}

type Linking = (to: string) => string

/** The code of the first cell, in any order, because the word order may differ in Chinese. */
const keyOf = (row: Row): string =>
  codesOf(row.cells[0] ?? '')
    .toSorted()
    .join(' ')
const nameOf = (row: Row): string =>
  (row.cells[0] === '' ? (row.cells[1] ?? '') : (row.cells[0] ?? '')).slice(0, 60)

/** The rows of a table that are missing, added, in another order, or with other contents. */
function tableDifferences(english: readonly Row[], chinese: readonly Row[], linkOf: Linking): string[] {
  const [keys, found] = [english.map(keyOf), chinese.map(keyOf)]
  const gone = english.filter((row) => keyOf(row) !== '' && !found.includes(keyOf(row)))
  const added = chinese.filter((row) => keyOf(row) !== '' && !keys.includes(keyOf(row)))
  const differences = [
    ...gone.map((row) => `the row ${nameOf(row)} is missing (line ${row.line} of the English page)`),
    ...added.map((row) => `line ${row.line}: the row ${nameOf(row)} is not in the English page`),
  ]
  if (differences.length > 0) return differences
  for (const [index, row] of english.entries()) {
    const other = chinese[index]
    const where = `row ${index}, ${nameOf(row)} (line ${row.line} of the English page)`
    if (other === undefined || keyOf(other) !== keyOf(row))
      return [
        ...differences,
        `${where} is ${other === undefined ? 'missing' : `in line ${other.line} ${nameOf(other)}`}`,
      ]
    if (other.cells.length !== row.cells.length) differences.push(`${where} has ${other.cells.length} cells`)
    for (const [column, cell] of row.cells.entries())
      for (const difference of textDifferences(cell, other.cells[column] ?? '', linkOf))
        differences.push(`${where}, column ${column + 1}: ${difference}`)
  }
  const extra = chinese[english.length]
  if (extra) differences.push(`line ${extra.line}: the row ${nameOf(extra)} is not in the English page`)
  return differences.length > 0 ? differences : cellDifferences(english, chinese)
}

/** Cells of a column that are equal in one language and not in the other. */
function cellDifferences(english: readonly Row[], chinese: readonly Row[]): string[] {
  const differences: string[] = []
  for (const column of english[0]?.cells.keys() ?? []) {
    const pairs = english.map(
      (row, index) => [row, row.cells[column], chinese[index]?.cells[column]] as const,
    )
    for (const [index, [row, mine, theirs]] of pairs.entries()) {
      const other = pairs.slice(0, index).find(([, text]) => text === mine)
      if (other && other[2] !== theirs)
        differences.push(
          `row ${index}, ${nameOf(row)}, column ${column + 1}: "${theirs}" for "${mine}", which is "${other[2]}" in the row ${nameOf(other[0])}`,
        )
    }
  }
  return differences
}

/**
 * The fenced blocks of a section that differ, except for comments. The output of a program may be in Chinese
 * if the translation has a script of its own, which compares it with the program.
 */
function blockDifferences(
  english: readonly Block[],
  chinese: readonly Block[],
  hasScript: boolean,
): string[] {
  if (english.length !== chinese.length)
    return [`${chinese.length} fenced blocks, the English page has ${english.length}`]
  return english.flatMap((block, index) => {
    const other = chinese[index] ?? block
    const isOutput = block.language === 'text' && other.language === 'text'
    if (withoutComments(block) === withoutComments(other) || (isOutput && hasScript)) return []
    const lines = withoutComments(block).split('\n')
    const line = withoutComments(other)
      .split('\n')
      .findIndex((text, at) => text !== lines[at])
    return [
      `the fenced block of line ${other.line} differs from that of line ${block.line}: "${lines[line] ?? ''}"`,
    ]
  })
}

function sectionDifferences(path: string, english: Section, chinese: Section, linkOf: Linking): string[] {
  const differences: string[] = []
  const count = (what: string, expected: number, found: number) => {
    if (expected !== found) differences.push(`${found} ${what}, the English page has ${expected}`)
  }
  count('paragraphs and lists', paragraphsOf(english.prose), paragraphsOf(chinese.prose))
  count('items of lists', itemsOf(english.prose), itemsOf(chinese.prose))
  count('tables', english.tables.length, chinese.tables.length)
  differences.push(...textDifferences(english.prose.join('\n'), chinese.prose.join('\n'), linkOf))
  differences.push(...blockDifferences(english.blocks, chinese.blocks, path in scripts))
  for (const [index, table] of english.tables.entries()) {
    const found = tableDifferences(table, chinese.tables[index] ?? [], linkOf)
    differences.push(...found.map((difference) => `table ${index + 1}: ${difference}`))
  }
  return differences
}

const levelOf = ({ heading }: Section): number => heading.indexOf(' ')

/** The first heading of another level; null where both have the same levels in the same order. */
function headingDifference(english: readonly Section[], chinese: readonly Section[]): string | null {
  for (let index = 1; index < Math.max(english.length, chinese.length); index++) {
    const [mine, theirs] = [english[index], chinese[index]]
    if (mine === undefined) return `:${theirs?.line}: "${theirs?.heading}" is not in the English page`
    const expected = `"${mine.heading}" (line ${mine.line} of the English page)`
    if (theirs === undefined) return `: no heading for ${expected}`
    const isCode = /^#+ `/.test(mine.heading)
    if (levelOf(mine) !== levelOf(theirs) || (isCode && mine.heading !== theirs.heading))
      return `:${theirs.line}: heading ${index} is "${theirs.heading}", it should be that for ${expected}`
  }
  return null
}

/**
 * All differences between an English page and its Chinese version, each with file, heading and row. If the
 * headings differ, only that.
 */
export function differencesOf(english: Page, chinese: Page, linkOf: Linking): string[] {
  const [mine, theirs] = [sectionsOf(english.text), sectionsOf(chinese.text)]
  const heading = headingDifference(mine, theirs)
  if (heading !== null) return [chinese.path + heading]
  return mine.flatMap((section, index) => {
    const other = theirs[index] ?? section
    const where = `${chinese.path}:${other.line} (${other.heading || 'above the first heading'})`
    return sectionDifferences(chinese.path, section, other, linkOf).map(
      (difference) => `${where}: ${difference}`,
    )
  })
}

/** The headings of a page, in order, with their number signs. */
export const headingsOf = (text: string): string[] =>
  sectionsOf(text)
    .map(({ heading }) => heading)
    .slice(1)

/** The anchors of the headings of a page, in order, as GitHub makes them. */
export function anchorsOf(text: string): string[] {
  const seen = new Map<string, number>()
  return headingsOf(text).map((heading) => {
    const words = heading
      .replace(/^#+ /, '')
      .replaceAll(/\]\([^)]*\)/g, '')
      .toLowerCase()
    const anchor = words.replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '').replaceAll(' ', '-')
    const before = seen.get(anchor) ?? 0
    seen.set(anchor, before + 1)
    return before === 0 ? anchor : `${anchor}-${before}`
  })
}

/**
 * The link in the Chinese version of `path` for a link of that page: to the same heading in the Chinese
 * version of its target, if there is one. The links between both versions are each other's.
 */
export function chineseLink(path: string, to: string): string {
  const [file = '', anchor] = to.split('#')
  if (/^[a-z]+:/.test(to)) return to
  const target = file === '' ? path : join(dirname(path), file)
  if (target === chineseOf(path)) return path.split('/').at(-1) ?? ''
  const chinese = chineseOf(target)
  if (chinese === null) return to
  const index = anchor === undefined ? -1 : anchorsOf(read(target)).indexOf(anchor)
  const translated = index === -1 ? anchor : (anchorsOf(read(chinese))[index] ?? anchor)
  return file.replace(/\.md$/, '.zh-CN.md') + (translated === undefined ? '' : `#${translated}`)
}
