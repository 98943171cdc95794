// npm run bench chart: makes the chart and the summaries of faults in the documents from the results in
// bench/. A test compares them.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { capacityTable, type Measured } from './capacity-model.ts'
import { type Run, rangeOf } from './runs.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const chartFile = `${root}docs/checks.svg`

interface Bar {
  readonly label: string
  readonly note: string
  readonly value: number
  readonly color: string
}

const [ours, bare, others] = ['#c0392b', '#7f8c8d', '#5d8aa8']
/** Labels of the chart by the prefix of a name in results.json, in order. */
const bars: readonly (readonly [begin: string, label: string, note: string, color: string])[] = [
  ['GET /user, node:http, no check', 'node:http, no check', '不校验', bare],
  ['GET /user, bare route, no check', 'Fastify, no check', '不校验', bare],
  ['GET /user, Fastify, no check', 'Fastify, no check', '不校验', bare],
  ['GET /user, MariaDB + Redis', 'Hufu, MariaDB + Redis', '', ours],
  ['GET /user, SQLite', 'Hufu, SQLite', '', ours],
  ["HGETALL, kept by the client library's cache", 'one cached HGETALL', '', others],
  ['two GETs', 'two Redis GETs', '', others],
  ['express-session', 'express-session + connect-redis', '', others],
  ['better-auth', 'better-auth', '', others],
]

/** The chart of checks per second, from the text of results.json. */
export function chartOf(results: string): string {
  const { machine, figures } = JSON.parse(results) as {
    machine: string
    figures: readonly { name: string; value: number; unit: string }[]
  }
  const shown = bars.flatMap(([begin, label, note, color]): Bar[] => {
    const figure = figures.find(({ name, unit }) => name.startsWith(begin) && unit === 'requests/s')
    return figure ? [{ label, note, color, value: figure.value }] : []
  })
  const most = Math.max(...shown.map(({ value }) => value))
  const rows = shown.map((bar, i) => row(bar, 64 + i * 30, most))
  const height = 64 + shown.length * 30 + 34
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 ${height}" font-family="system-ui, sans-serif" font-size="14" role="img">
<title>Checks per second: ${shown.map(({ label, value }) => `${label} ${Math.round(value)}`).join(', ')}</title>
<rect width="760" height="${height}" rx="8" fill="#ffffff"/>
<text x="20" y="30" font-size="17" font-weight="600" fill="#222">Who is signed in? Checks per second, one process · 每秒校验次数，单进程</text>
${rows.join('\n')}
<text x="20" y="${height - 14}" font-size="11" fill="#777">${escaped(machine)} npm run bench</text>
</svg>
`
}

function row({ label, note, value, color }: Bar, y: number, most: number): string {
  const width = Math.max(2, Math.round((value / most) * 420))
  const text = note === '' ? label : `${label} ${note}`
  return `<text x="228" y="${y + 5}" text-anchor="end" fill="#222">${escaped(text)}</text><rect x="238" y="${y - 9}" width="${width}" height="18" rx="3" fill="${color}"/><text x="${246 + width}" y="${y + 5}" fill="#222">${Math.round(value).toLocaleString('en-US')}</text>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

interface Sums {
  /** The stores of the deployment, by their name in FAULTS.md. */
  readonly stores: string
  readonly faults: number
  readonly operations: number
  readonly refused: number
  readonly unanswered: number
  readonly violations: number
}

/** The sums over the faults of each deployment, from the text of FAULTS.md. */
export function faultSumsOf(faults: string): readonly Sums[] {
  const rows = faults
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .filter((cells) => cells.length === 8 && /^\d+$/.test(cells[3] ?? '') && cells[2] !== 'no fault')
    .map(([, stores = '', , ...numbers]) => ({ stores, numbers: numbers.slice(0, 4).map(Number) }))
  return [...new Set(rows.map(({ stores }) => stores))].map((stores) => {
    const of = rows.filter((one) => one.stores === stores)
    const [operations = 0, refused = 0, unanswered = 0, violations = 0] = [0, 1, 2, 3].map((i) =>
      of.reduce((sum, { numbers }) => sum + (numbers[i] ?? 0), 0),
    )
    return { stores, faults: of.length, operations, refused, unanswered, violations }
  })
}

const heads = {
  en: '| stores | faults | operations during them | answered 503 | no answer | violations |',
  zh: '| 存储 | 故障 | 期间的操作 | 返回 503 | 没有响应 | 违背承诺 |',
}

function tableOf(sums: readonly Sums[], language: 'en' | 'zh'): string {
  const nameOf = (stores: string) =>
    language === 'en'
      ? stores
      : stores
          .replace('Redis behind Sentinel', 'Sentinel 管理的 Redis')
          .replace(/(.+) with a replica/, '带副本的 $1')
          .replace(/(.+) behind (PgBouncer)/, '$2 后面的 $1')
          .replace('with limits', '启用限流')
          .replace(', ', '、')
  const rows = sums.map(
    ({ stores, faults, operations, refused, unanswered, violations }) =>
      `| ${[nameOf(stores), faults, operations, refused, unanswered, violations].join(' | ')} |`,
  )
  return [heads[language], '|---|--:|--:|--:|--:|--:|', ...rows].join('\n')
}

/** By document: the summary of the last run between its markers. */
export function faultSummaries(text: string): Readonly<Record<string, string>> {
  const sums = faultSumsOf(text)
  const sum = (key: 'faults' | 'operations' | 'violations') => sums.reduce((all, one) => all + one[key], 0)
  const [faults, violations] = [sum('faults'), sum('violations')]
  const operations = sum('operations').toLocaleString('en-US')
  return {
    'docs/guarantees.md': tableOf(sums, 'en'),
    'docs/guarantees.zh-CN.md': tableOf(sums, 'zh'),
    'README.md': `Real servers run under constant load while we break one thing after another (\`npm run test:faults\`,
[bench/FAULTS.md](bench/FAULTS.md)): ${faults} faults, ${operations} operations, ${violations} violations.`,
    'README.zh-CN.md': `在不间断的负载下逐个制造故障（\`npm run test:faults\`，[bench/FAULTS.md](bench/FAULTS.md)）：
${faults} 种故障，${operations} 次操作，违背承诺 ${violations} 次。`,
  }
}

/** The sentences of the READMEs about the speed of a check, from the text of results.json. */
export function speedSummaries(results: string): Readonly<Record<string, string>> {
  const { runs = [] } = JSON.parse(results) as { runs?: readonly Run[] }
  // Older results have no runs.
  if (runs.length === 0) return {}
  const range = (unit: string) => {
    const { least, most } = rangeOf(runs, unit)
    return `${least.toFixed(2)}-${most.toFixed(2)}`
  }
  const [toFastify, toHttp] = [range('of Fastify'), range('of node:http')]
  return {
    'README.md': `On SQLite, or with Redis, a check of a token needs no network while nothing has changed. By CPU for each request it is
${toFastify} as fast as a Fastify route without a check, and ${toHttp} as fast as a bare \`node:http\` handler (the worst and the best of
${runs.length} runs, two routes and both stores, with the request log on). On a database server without Redis, every check is a query
([bench/RESULTS.md](bench/RESULTS.md)):`,
    'README.zh-CN.md': `使用 SQLite 或启用 Redis 时，只要没有变化，校验令牌就不访问网络。按每个请求占用的 CPU 算，速度是不做校验的 Fastify 路由的
${toFastify} 倍，是裸 \`node:http\` 的 ${toHttp} 倍（${runs.length} 次运行、两个接口、两种存储中最差与最好的结果，开着请求日志）。
使用数据库服务器而没有 Redis 时，每次校验查一次库（[bench/RESULTS.md](bench/RESULTS.md)）：`,
  }
}

/** The capacity tables, from the text of capacity.json. */
export function capacitySummaries(capacity: string): Readonly<Record<string, string>> {
  const measured = JSON.parse(capacity) as Measured
  return {
    'docs/operations.md': capacityTable(measured, 'en'),
    'docs/operations.zh-CN.md': capacityTable(measured, 'zh'),
  }
}

type Part = 'faults' | 'speed' | 'capacity'

/** Replaces the text between the markers of a document. */
export function withPart(document: string, part: Part, summary: string): string {
  const between = new RegExp(`(<!-- ${part}: made by "npm run bench chart" -->\\n)[^]*?(<!-- end -->)`)
  if (!between.test(document)) throw new Error(`the document has no markers for: ${part}`)
  return document.replace(between, (_all, begin, end) => `${begin}${summary}\n${end}`)
}

export function writeChart(): void {
  const results = readFileSync(`${root}bench/results.json`, 'utf8')
  writeFileSync(chartFile, chartOf(results))
  writeParts('faults', faultSummaries(readFileSync(`${root}bench/FAULTS.md`, 'utf8')))
  writeParts('speed', speedSummaries(results))
  writeParts('capacity', capacitySummaries(readFileSync(`${root}bench/capacity.json`, 'utf8')))
}

function writeParts(part: Part, summaries: Readonly<Record<string, string>>): void {
  for (const [path, summary] of Object.entries(summaries))
    writeFileSync(`${root}${path}`, withPart(readFileSync(`${root}${path}`, 'utf8'), part, summary))
}
