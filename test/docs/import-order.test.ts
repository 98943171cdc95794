// Which files may import which, types included: each file is in a layer and imports its own layer and lower
// ones. A folder or file without a layer fails the first test.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const src = fileURLToPath(new URL('../../src/', import.meta.url))

/** From the lowest layer to the highest; `x/` is a folder. */
const layers: readonly (readonly string[])[] = [
  ['version.ts', 'timing.ts', 'errors.ts', 'clock.ts', 'ids.ts', 'iso-time.ts', 'maybe-promise.ts'],
  [
    'bounded-map.ts',
    'constant-time.ts',
    'deadline.ts',
    'queue-order.ts',
    'fair-queue.ts',
    'work-queue.ts',
    'in-turn.ts',
    'keyed-batches.ts',
    'random-text.ts',
  ],
  ['sessions/platform.ts', 'sessions/end-reason.ts', 'codes/purpose.ts'],
  [
    'nearest-word.ts',
    'redact-url.ts',
    'secrets.ts',
    'hidden-text.ts',
    'typed-text.ts',
    'line-writer.ts',
    'background-errors.ts',
  ],
  ['settings/setting.ts', 'limits/allowances.ts'],
  ['url-parts.ts', 'phone/'],
  ['settings/parsers.ts', 'settings/groups.ts'],
  ['vendors/', 'redis/'],
  ['database/'],
  ['sms/'],
  ['settings/'],
  ['events/', 'limits/', 'changes/', 'passwords/', 'signing-keys/'],
  [
    'sessions/account-state.ts',
    'sessions/account.ts',
    'sessions/token.ts',
    'sessions/token-status.ts',
    'sessions/session.ts',
  ],
  ['session-cache/'],
  ['sessions/'],
  ['codes/'],
  ['accounts/'],
  ['authentication/', 'service-keys/'],
  ['http/'],
  ['log.ts'],
  ['app/'],
  ['app.ts'],
  ['cli/'],
  ['main.ts'],
]

/**
 * The files and folders that may import a package; no others may. Packages that are not named may be imported
 * everywhere.
 */
const importersOf: Readonly<Record<string, readonly string[]>> = {
  fastify: ['http/', 'app.ts', 'cli/'],
  '@fastify/': ['http/'],
  typebox: ['http/'],
  pino: ['log.ts'],
  mysql2: ['database/'],
  pg: ['database/'],
  'node:sqlite': ['database/'],
  redis: ['redis/', 'session-cache/'],
  '@node-rs/argon2': ['passwords/'],
  'libphonenumber-js': ['phone/'],
  commander: ['cli/'],
  '@clack/prompts': ['cli/'],
}

const files = readdirSync(src, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))

function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), 'utf8')
  const found = text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)
  return [...found].map(([, name = '']) => name)
}

function isIn(file: string, entry: string): boolean {
  return entry.endsWith('/') ? file.startsWith(entry) : file === entry
}

/** An entry that names the file itself comes before its folder. */
function layerOf(file: string): number {
  const own = layers.findIndex((entries) => entries.includes(file))
  return own >= 0 ? own : layers.findIndex((entries) => entries.some((entry) => isIn(file, entry)))
}

test('every file is in a layer', () => {
  expect(files.length).toBeGreaterThan(150)
  expect(files.filter((file) => layerOf(file) === -1)).toEqual([])
})

test('no file imports a higher layer', () => {
  const upward: string[] = []
  for (const file of files) {
    for (const name of importsOf(file).filter((one) => one.startsWith('.'))) {
      const target = normalize(join(dirname(file), name))
      if (layerOf(target) > layerOf(file)) upward.push(`${file} -> ${target}`)
    }
  }
  expect(upward).toEqual([])
})

test('files do not import each other in a cycle, types included', () => {
  const graph = new Map(
    files.map((file) => [
      file,
      importsOf(file)
        .filter((name) => name.startsWith('.'))
        .map((name) => normalize(join(dirname(file), name))),
    ]),
  )
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
    if (done.has(file) || path.includes(file)) return
    for (const next of graph.get(file) ?? []) visit(next, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  expect(circles).toEqual([])
})

test('packages are imported only where they are allowed', () => {
  const misplaced: string[] = []
  for (const file of files) {
    for (const name of importsOf(file)) {
      const importers = Object.entries(importersOf).find(([one]) => name === one || name.startsWith(one))?.[1]
      if (importers && !importers.some((entry) => isIn(file, entry))) misplaced.push(`${file} -> ${name}`)
    }
  }
  expect(misplaced).toEqual([])
})

test('http calls the domain: no SQL, no Redis, and no surface of another', () => {
  const wrong: string[] = []
  for (const file of files.filter((one) => one.startsWith('http/'))) {
    for (const name of importsOf(file)) {
      const target = name.startsWith('.') ? normalize(join(dirname(file), name)) : name
      const surface = (path: string) => /^http\/([^/]+)\//.exec(path)?.[1]
      const isOther =
        surface(target) !== undefined && surface(file) !== undefined && surface(target) !== surface(file)
      if (/^(database|redis|session-cache|kysely)\b|-rows\.ts$/.test(target) || isOther)
        wrong.push(`${file} -> ${target}`)
    }
  }
  expect(wrong).toEqual([])
})

/** Names of columns that are also names in JSON: of a session that is printed, and in an event's detail. */
const jsonNames: Readonly<Record<string, readonly string[]>> = {
  'sessions/flat-session.ts': [
    'device_id',
    'device_name',
    'app_version',
    'created_at',
    'seen_at',
    'expires_at',
  ],
  'accounts/lifecycle.ts': ['closes_at'],
  'service-keys/service-keys.ts': ['expires_at', 'previous_until'],
}

test('rows are mapped by *-rows.ts and *-columns.ts alone: the domain knows no column', () => {
  const schema = readFileSync(join(src, 'database/schema.ts'), 'utf8')
  const columns = new Set([...schema.matchAll(/^ {2}([a-z]+(?:_[a-z]+)+):/gm)].map(([, name = '']) => name))
  expect(columns.size).toBeGreaterThan(40)
  const domain = layers.slice(layers.findIndex((entries) => entries.includes('events/'))).flat()
  const others = files
    .filter((file) => domain.some((entry) => isIn(file, entry)) && !/^(http|cli)\//.test(file))
    .filter((file) => !/-(rows|columns)\.ts$/.test(file))
  const wrong = others.flatMap((file) => {
    const text = readFileSync(join(src, file), 'utf8')
    // The names of columns are also those of errors and of what events record.
    const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'/g, '')
    const names = [...code.matchAll(/\b\w+\b/g)].map(([name]) => name)
    const found = names.filter((name) => columns.has(name) || /^[A-Z]\w+Table$/.test(name))
    return [...new Set(found)]
      .filter((name) => !jsonNames[file]?.includes(name))
      .map((name) => `${file}: ${name}`)
  })
  expect(wrong).toEqual([])
})
