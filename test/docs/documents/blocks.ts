// The fenced blocks of the documents, and what a test does with each.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Walk } from './walk.ts'

export const root = fileURLToPath(new URL('../../..', import.meta.url))
export const read = (path: string): string => readFileSync(join(root, path), 'utf8')

export interface Block {
  /** The document, such as `docs/api.md`. */
  readonly path: string
  /** The info string after the three backticks, such as `sh`; may be empty. */
  readonly language: string
  /** The nearest heading above, with its number signs. */
  readonly heading: string
  /** The line of the opening fence in the document, from 1. */
  readonly line: number
  /** The lines between the fences, each with its line end. */
  readonly text: string
}

/** All documents of the repository, as paths from its root. */
export const documents: readonly string[] = globSync('**/*.md', {
  cwd: root,
  exclude: (path) => /(^|\/)(node_modules|dist|data|\.git)$/.test(path),
}).toSorted()

/** Every fenced block of a document, in order; throws where a fence is indented or not closed. */
export function blocksOf(path: string): Block[] {
  const blocks: Block[] = []
  let heading = ''
  let open: { language: string; line: number; lines: string[] } | null = null
  for (const [index, line] of read(path).split('\n').entries()) {
    const [, fence, language = ''] = /^\s*(`{3,}|~{3,})(.*)$/.exec(line) ?? []
    if (fence !== undefined && !line.startsWith('```'))
      throw new Error(`${path}:${index + 1}: a fence begins at the start of the line, with three backticks`)
    if (fence === undefined) {
      if (open !== null) open.lines.push(`${line}\n`)
      else if (/^#+ /.test(line)) heading = line
    } else if (open === null) {
      open = { language, line: index + 1, lines: [] }
    } else {
      blocks.push({ path, language: open.language, heading, line: open.line, text: open.lines.join('') })
      open = null
    }
  }
  if (open !== null) throw new Error(`${path}:${open.line}: the block has no end`)
  return blocks
}

/** The one block of a document that starts with this text; throws if there is none or a second one. */
export function blockOf(path: string, beginning: string): Block {
  const [block, second] = blocksOf(path).filter(({ text }) => text.startsWith(beginning))
  if (block === undefined || second !== undefined)
    throw new Error(`${path} has ${second ? 'several blocks' : 'no block'} beginning with "${beginning}"`)
  return block
}

/** A block without its comments, which a translation may translate. */
export function withoutComments({ text, language }: Pick<Block, 'text' | 'language'>): string {
  const marks: Readonly<Record<string, RegExp>> = {
    js: /(?:^|\s)\/\/.*$/gm,
    ts: /(?:^|\s)\/\/.*$/gm,
    sql: /(?:^|\s)--.*$/gm,
    json: /$^/g,
    text: /$^/g,
  }
  return text.replaceAll(marks[language] ?? /(?:^|[^\S\n]+)#.*$/gm, '')
}

/** The steps for one block. */
export type Step =
  | {
      readonly run: (walk: Walk, block: Block) => Promise<void> | void
      readonly needs: readonly Need[]
    }
  | { readonly by: string; readonly needle: string | null }
  | { readonly sameAs: Block }
  | { readonly notRun: string }

/** What may be missing on a machine; a step that needs it is then skipped. */
export type Need = 'mariadb' | 'postgres' | 'redis' | 'sqlite3' | 'nginx'

/** A step that runs the block here. */
export const runs = (run: (walk: Walk, block: Block) => Promise<void> | void, ...needs: Need[]): Step => ({
  run,
  needs,
})

/**
 * Another test file runs it: the file contains the needle, or the beginning of the block if none is given.
 */
export const by = (file: string, needle: string | null = null): Step => ({ by: file, needle })

/** Nothing runs it, for this reason. */
export const notRun = (reason: string): Step => ({ notRun: reason })

/** The English page has the same block, which is run. */
const sameAs = (block: Block): Step => ({ sameAs: block })

/** Each block of a document, in order: its beginning and its steps. */
export type Script = readonly (readonly [beginning: string, ...steps: [Step, ...Step[]]])[]

const advice = `Give the block its line in test/docs/documents/, in the place that it has in the document:
runs(…) to run it there, by('test/….test.ts') where another test runs it, notRun('reason') where nothing can.`

/** The blocks of a document with their steps; throws with advice where the script does not match. */
export function inOrder(path: string, script: Script): { block: Block; steps: readonly Step[] }[] {
  const blocks = blocksOf(path)
  const pairs = blocks.map((block, index) => {
    const [beginning = null, ...steps] = script[index] ?? []
    if (beginning !== null && block.text.startsWith(beginning)) return { block, steps }
    const expected = beginning === null ? 'nothing' : `"${beginning}"`
    const [first = ''] = block.text.split('\n')
    throw new Error(
      `${path}:${block.line}: a block begins with "${first}", the script has ${expected}. ${advice}`,
    )
  })
  const [gone] = script[blocks.length] ?? []
  if (gone !== undefined) throw new Error(`${path} has no more block for "${gone}" of its script. ${advice}`)
  return pairs
}

/** The English page of a Chinese one; null where there is none. */
export function englishOf(path: string): string | null {
  const english = path.replace(/\.zh-CN\.md$/, '.md')
  return english !== path && documents.includes(english) ? english : null
}

/** The Chinese version of an English page; null where there is none. */
export function chineseOf(path: string): string | null {
  const chinese = path.replace(/(?<!\.zh-CN)\.md$/, '.zh-CN.md')
  return chinese !== path && documents.includes(chinese) ? chinese : null
}

/**
 * The blocks of a translation without a script of its own, which must be those of the English page, except
 * for comments.
 */
export function asInEnglish(path: string, english: string): { block: Block; steps: readonly Step[] }[] {
  const originals = blocksOf(english)
  return blocksOf(path).map((block, index) => {
    const original = originals[index]
    if (original && withoutComments(original) === withoutComments(block))
      return { block, steps: [sameAs(original)] }
    throw new Error(
      `${path}:${block.line}: ${english} has another block here${original ? `, in line ${original.line}` : ''}.
Make both equal, or give ${path} a script of its own in test/docs/documents/scripts.ts.`,
    )
  })
}
