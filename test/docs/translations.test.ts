// A Chinese page has the same headings, tables, codes, numbers, blocks and links as its English page.
import { globSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, expect, test } from 'vitest'
import { chineseOf, documents, read, root } from './documents/blocks.ts'
import { anchorsOf, chineseLink, differencesOf } from './documents/translation.ts'

/**
 * Pages that must have a Chinese version. Each translated page is named here; others are compared once they
 * exist.
 */
const translated = [
  'docs/api.md',
  'docs/errors.md',
  'docs/guarantees.md',
  'docs/limits.md',
  'docs/operations.md',
  'docs/settings.md',
  'docs/sms.md',
  'docs/tutorial.md',
]

const pairs = documents.flatMap((path) => {
  const chinese = path.startsWith('docs/') ? chineseOf(path) : null
  return chinese === null ? [] : [[path, chinese] as const]
})

test('the pages that must have a Chinese version have one', () => {
  expect(pairs.map(([path]) => path)).toEqual(expect.arrayContaining(translated))
})

describe.each(pairs)('%s and %s', (path, chinese) => {
  test('are the same in everything that is not language', () => {
    const pages = [path, chinese].map((file) => ({ path: file, text: read(file) }))
    const [page = expect.fail(), translation = expect.fail()] = pages
    expect(differencesOf(page, translation, (to) => chineseLink(path, to))).toEqual([])
  })

  test('link each other in their first lines', () => {
    for (const [from, to] of [
      [path, chinese],
      [chinese, path],
    ] as const)
      expect(read(from).split('\n').slice(0, 4).join('\n'), from).toContain(`](${basename(to)})`)
  })
})

test.each(
  documents.filter((path) => path.endsWith('.zh-CN.md')),
)('%s links Chinese pages where there are some', (path) => {
  const own = basename(path).replace('.zh-CN', '')
  const prose = read(path).replace(/^```.*?^```/gms, '')
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = '']) => to)
  const english = links.filter((to) => to !== own && chineseLink(path, to) !== to)
  expect(english.map((to) => `${to}, instead of ${chineseLink(path, to)}`)).toEqual([])
})

test.each(documents)('%s links only existing headings', (path) => {
  const prose = read(path).replace(/^```.*?^```/gms, '')
  for (const [, file = '', anchor = ''] of prose.matchAll(/\]\(([^)\s:#]*)#([^)\s]+)\)/g)) {
    const target = file === '' ? path : new URL(file, `file:///${path}`).pathname.slice(1)
    expect(anchorsOf(read(target)), `${path} links ${file}#${anchor}`).toContain(anchor)
  }
})

// In Chinese apps 注销 closes an account, and 退出登录 signs out. The tutorial's answer says 注销 for the latter.
test('注销 is used for accounts alone', () => {
  const sources = globSync('{src,sdk/src}/**/*.ts', { cwd: root }).filter(
    (path) => !path.endsWith('.test.ts'),
  )
  const ofAccounts = /成功注销|取消注销|注销(?:账号|申请)|账号[^。；|]*注销/g
  const others = [...sources, ...documents].flatMap((path) =>
    read(path)
      .split('\n')
      .flatMap((line, index) =>
        line.replaceAll(ofAccounts, '').includes('注销') ? [`${path}:${index + 1}: ${line.trim()}`] : [],
      ),
  )
  expect(others).toEqual([])
})

test('a Chinese message names the Chinese page of a document that has one', () => {
  const named = globSync('{src,sdk/src,bench}/**/*.ts', { cwd: root }).flatMap((path) =>
    read(path)
      .split('\n')
      .filter((line) => /\p{Script=Han}/u.test(line))
      .flatMap((line) =>
        [...line.matchAll(/docs\/[\w-]+(?:\.zh-CN)?\.md/g)].map(([page]) => ({ path, page })),
      ),
  )
  expect(named.length).toBeGreaterThan(5)
  expect(named.filter(({ page }) => chineseOf(page) !== null)).toEqual([])
})

describe('a difference names its file, heading and row', () => {
  const english = [
    '# Page',
    '',
    'A code is good for five minutes or `HUFU_LIFE`, see [limits](limits.md).',
    '',
    '- at most 60 s',
    '',
    '## Table',
    '',
    '| code | status | file |',
    '|---|--:|---|',
    '| `one` | 400 | yes |',
    '| `two` | 401 | no |',
    '| `three` | 402 | no |',
    '',
    '| case | |',
    '|---|---|',
    '| wrong | `a` |',
    '| late | `b` |',
    '',
    '```sh',
    'curl /one # comment',
    '```',
  ].join('\n')
  const chinese = [
    '# 页面',
    '',
    '验证码 5 分钟内有效，或 `HUFU_LIFE`，见[限流](limits.md)。',
    '',
    '- 最多 60 秒',
    '',
    '## 表',
    '',
    '| 代码 | 状态 | 文件 |',
    '|---|--:|---|',
    '| `one` | 400 | 是 |',
    '| `two` | 401 | 否 |',
    '| `three` | 402 | 否 |',
    '',
    '| 情形 | |',
    '|---|---|',
    '| 错误 | `a` |',
    '| 过期 | `b` |',
    '',
    '```sh',
    'curl /one # 注释',
    '```',
  ].join('\n')
  const differences = (text: string) =>
    differencesOf({ path: 'x.md', text: english }, { path: 'x.zh-CN.md', text }, (to) => to)

  test('and a complete translation has none', () => {
    expect(differences(chinese)).toEqual([])
  })

  test.each([
    ['| `two` | 401 | 否 |\n', '', 'x.zh-CN.md:7 (## 表): table 1: the row `two` is missing (line 12 of'],
    ['| `two`', '| `tow`', 'x.zh-CN.md:7 (## 表): table 1: the row `two` is missing (line 12 of'],
    ['| 过期 | `b` |\n', '', 'table 2: row 3, late (line 18 of the English page) is missing'],
    [
      '| 401 |',
      '| 403 |',
      'table 1: row 3, `two` (line 12 of the English page), column 2: the number 401 is missing',
    ],
    [
      '| `b`',
      '| `c`',
      'table 2: row 3, late (line 18 of the English page), column 2: the code `b` is missing',
    ],
    [
      '401 | 否',
      '401 | 是',
      'table 1: row 4, `three`, column 3: "否" for "no", which is "是" in the row `two`',
    ],
    ['## 表', '### 表', 'x.zh-CN.md:7: heading 2 is "### 表", it should be that for "## Table" (line 7'],
    ['## 表\n', '', 'x.zh-CN.md: no heading for "## Table" (line 7 of the English page)'],
    ['5 分钟', '6 分钟', 'x.zh-CN.md:1 (# 页面): the number 6 is not in the English page'],
    ['60 秒', '一分钟', 'x.zh-CN.md:1 (# 页面): the number 60 is missing'],
    ['`HUFU_LIFE`', '`HUFU_LIVE`', 'x.zh-CN.md:1 (# 页面): the code `HUFU_LIFE` is missing'],
    ['limits.md', 'sms.md', 'x.zh-CN.md:1 (# 页面): the link limits.md is missing'],
    ['- 最多 60 秒\n\n', '', 'x.zh-CN.md:1 (# 页面): 0 items of lists, the English page has 1'],
    [
      '/one #',
      '/two #',
      'x.zh-CN.md:7 (## 表): the fenced block of line 20 differs from that of line 20: "curl /one"',
    ],
  ])('%j as %j', (from, to, expected) => {
    expect(chinese).toContain(from)
    expect(differences(chinese.replace(from, to)).join('\n')).toContain(expected)
  })
})
