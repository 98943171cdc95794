// A strict parser of the Dockerfile and of .dockerignore: it accepts the syntax that this project uses, and
// refuses everything else.
/** One instruction; a HEALTHCHECK has the words of its CMD. */
export interface Instruction {
  readonly line: number
  readonly name: Name
  /** Such as `from` -> `build` of `--from=build`. */
  readonly flags: Readonly<Record<string, string>>
  readonly text: string
  /** The words of the exec form; null for the shell form. */
  readonly words: readonly string[] | null
}

const names = [
  ...['ARG', 'FROM', 'LABEL', 'ENV', 'WORKDIR', 'COPY', 'RUN', 'VOLUME', 'USER', 'EXPOSE', 'STOPSIGNAL'],
  ...['HEALTHCHECK', 'ENTRYPOINT', 'CMD'],
] as const
type Name = (typeof names)[number]

const flagsOf: Readonly<Record<string, readonly string[]>> = {
  COPY: ['from'],
  HEALTHCHECK: ['interval', 'timeout', 'start-period', 'retries'],
}

/** The instructions in order; throws with the number of the first invalid line. */
export function readDockerfile(text: string): Instruction[] {
  const instructions: Instruction[] = []
  let pending: { line: number; text: string } | null = null
  for (const [index, raw] of text.split('\n').entries()) {
    if (pending !== null && raw.trim() === '') throw new Error(`Dockerfile:${pending.line}: no end`)
    if (/^\s*(#.*)?$/.test(raw)) continue
    const line: number = pending?.line ?? index + 1
    const whole: string = (pending?.text ?? '') + raw.trimStart()
    pending = whole.endsWith('\\') ? { line, text: whole.slice(0, -1) } : null
    if (pending === null) instructions.push(readInstruction(whole, line))
  }
  if (pending !== null) throw new Error(`Dockerfile:${pending.line}: no end`)
  return instructions
}

function readInstruction(whole: string, line: number): Instruction {
  const fail = (why: string): never => {
    throw new Error(`Dockerfile:${line}: ${why}: ${whole}`)
  }
  const [, word = '', rest = ''] = /^(\S+)\s+(.+)$/.exec(whole) ?? fail('no instruction')
  const name = names.find((known) => known === word) ?? fail('an unknown instruction')
  const flags: Record<string, string> = {}
  let text = rest.trim()
  for (let match = flagAtStart(text); match !== null; match = flagAtStart(text)) {
    const [flag, key = '', value = ''] = match
    if (!flagsOf[name]?.includes(key) || key in flags) fail(`a wrong flag ${key}`)
    flags[key] = value
    text = text.slice(flag.length)
  }
  if (name === 'HEALTHCHECK') text = /^CMD\s+(.*)$/.exec(text)?.[1] ?? fail('no CMD')
  return { line, name, flags, text, words: text.startsWith('[') ? readWords(text, fail) : null }
}

const flagAtStart = (text: string) => /^--([a-z-]+)=(\S+)\s+/.exec(text)

function readWords(text: string, fail: (why: string) => never): string[] {
  const words: unknown = JSON.parse(text)
  if (!Array.isArray(words) || words.some((word) => typeof word !== 'string')) fail('no list of words')
  // Parsed above.
  return words as string[]
}

/** `A=1 B="two words"` as pairs; throws for any other text. */
export function readPairs(text: string): Record<string, string> {
  const pair = /(\w[\w.]*)=(?:"([^"$\\]*)"|([^\s"'$\\]+))(?:\s+|$)/y
  const pairs: Record<string, string> = {}
  while (pair.lastIndex < text.length) {
    const at = pair.lastIndex
    const [, name = '', quoted, plain] = pair.exec(text) ?? []
    if (name === '') throw new Error(`no NAME=value at "${text.slice(at)}"`)
    pairs[name] = quoted ?? plain ?? ''
  }
  return pairs
}

/**
 * Whether a .dockerignore lets a file into the context: the last line that matches it, or a folder above it,
 * decides.
 */
export function isInContext(dockerignore: string, file: string): boolean {
  const folders = file.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/'))
  let isIn = true
  for (const line of dockerignore.split('\n').filter((each) => each !== '' && !each.startsWith('#'))) {
    const pattern = line.replace(/^!/, '')
    if (folders.some((path) => matches(path, pattern))) isIn = line.startsWith('!')
  }
  return isIn
}

/** As Docker matches: unlike in a shell, `*` also matches names that begin with a dot. */
function matches(path: string, pattern: string): boolean {
  const source = pattern
    .replace(/[.+^$(){}|[\]\\]/g, '\\$&')
    .replace(/\*\*\/|\*/g, (stars) => (stars === '*' ? '[^/]*' : '(?:.*/)?'))
  return new RegExp(`^${source}$`).test(path)
}
