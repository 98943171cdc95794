// Which rows a statement asks for: its tables, and the columns by which it names their rows.

export interface NamedRows {
  readonly table: string
  /** Columns that a condition compares with a value by `=` or `in`; of an insert, all its columns. */
  readonly columns: readonly string[]
}

/** The tables of a statement and of the statements inside it, each as often as it is there. */
export function namedRowsOf(text: string): NamedRows[] {
  return statementsOf(text.replaceAll(/["`]/g, '').replaceAll(/\s+/g, ' ').trim()).flatMap(ofStatement)
}

const begin = /^(?:select|insert|update|delete)\b/

/** A statement with square brackets for round ones, and those inside it, which `?` replaces. */
function statementsOf(text: string): string[] {
  const inside: string[] = []
  let outside = text
  for (;;) {
    const innermost = /\(([^()]*)\)/.exec(outside)
    if (!innermost) return [...inside, outside]
    const [whole, content = ''] = innermost
    const isStatement = begin.test(content.trim())
    if (isStatement) inside.push(content.trim())
    outside = outside.replace(whole, () => (isStatement ? '?' : `[${content}]`))
  }
}

const keyword = '(?:set|where|inner|left|cross|join|on|order|group|limit|for|values|using)\\b'
const reference = new RegExp(
  `\\b(?<verb>from|join|update|into) (?<table>hufu_\\w+)(?: as (?<named>\\w+)| (?!${keyword})(?<bare>\\w+))?`,
  'g',
)
const conditions =
  /\b(?:where|on) (.*?)(?= (?:inner|left|cross) | join | where | set | order by | group by | limit | for update|$)/g

function ofStatement(statement: string): NamedRows[] {
  const inserted = /^insert into (?<table>\w+) \[(?<columns>[^\]]*)\]/.exec(statement)?.groups
  const references = [...statement.matchAll(reference)].map(({ groups = {} }) => groups)
  const isAlone = references.filter(({ verb }) => verb !== 'into').length === 1
  const flat = withoutGroups(statement)
  const named = [...flat.matchAll(conditions)].flatMap(([, condition = '']) => columnsOf(condition))
  return references.map(({ verb, table = '', named: alias, bare }) => {
    if (verb === 'into' && inserted) return { table, columns: (inserted.columns ?? '').split(', ') }
    const name = alias ?? bare ?? table
    const own = named.filter(({ of }) => of === name || (of === null && isAlone))
    return { table, columns: own.map(({ column }) => column) }
  })
}

/** Only conditions that must all be true name rows: one of several, in a group, does not. */
function withoutGroups(statement: string): string {
  const once = statement.replaceAll(/\[[^[\]]*\]/g, '#')
  return once === statement ? statement : withoutGroups(once)
}

function columnsOf(condition: string): { readonly of: string | null; readonly column: string }[] {
  if (/ or /.test(condition)) return []
  return condition.split(' and ').flatMap((one) => {
    const [, of = null, column] = /^(?:(\w+)\.)?(\w+) (?:=|in) /.exec(one.trim()) ?? []
    return column === undefined ? [] : [{ of, column }]
  })
}
