import { expect, test } from 'vitest'
import { parseEnvFile } from './env-file.ts'
import { SettingsError } from './setting.ts'

const known = ['HUFU_PORT', 'HUFU_DATABASE_URL', 'HUFU_DATABASE_URL_FILE', 'HUFU_SECRET']
const parse = (text: string | Uint8Array) =>
  parseEnvFile('.env', typeof text === 'string' ? new TextEncoder().encode(text) : text, known)

test.each([
  ['\uFEFFHUFU_PORT=1\n', { HUFU_PORT: '1' }],
  ['# mine\r\n\r\nHUFU_PORT=1\r\nOTHER=x\r\n', { HUFU_PORT: '1', OTHER: 'x' }],
  ['HUFU_PORT=1\rOTHER=2\r', { HUFU_PORT: '1', OTHER: '2' }],
  ['  export HUFU_PORT = 1 # the port', { HUFU_PORT: '1' }],
  ['HUFU_SECRET=\'a#b = "c"\'', { HUFU_SECRET: 'a#b = "c"' }],
  ['HUFU_SECRET="a\\nb" # two lines', { HUFU_SECRET: 'a\nb' }],
  ['HUFU_SECRET="a\nb"\nOTHER=', { HUFU_SECRET: 'a\nb', OTHER: '' }],
  ['HUFU_SECRET=a=b==', { HUFU_SECRET: 'a=b==' }],
  ['HUFU_SECRET=two words ', { HUFU_SECRET: 'two words' }],
  ['', {}],
])('%j is read as it is meant', (text, values) => {
  expect(parse(text)).toEqual(values)
})

test.each([
  ['HUFU-PORT=1', /^Line 1 of \.env: the name has characters .*write HUFU_PORT=\.$/],
  ['\n hufu_port=1', /^Line 2 of \.env: hufu_port is no setting; write HUFU_PORT\.$/],
  ['Hufu_Port=1', /write HUFU_PORT/],
  ['HUFUPORT=1', /write HUFU_PORT/],
  ['HUFU__DATABASE_URL=hunter2', /write HUFU_DATABASE_URL\.$/],
  ['\u00A0HUFU_PORT=1', /perhaps invisible ones; write HUFU_PORT=/],
  ['HUFU_PORT\u200B=1', /write HUFU_PORT=/],
  ['A=1\n\uFEFFHUFU_PORT=1', /^Line 2 of \.env: .*write HUFU_PORT=/],
  ['ＨＵＦＵ＿ＰＯＲＴ=1', /write HUFU_PORT=/],
  ['HUFU_PORT＝1', /there is no "=" after HUFU_PORT/],
  ['HUFU_PORT: 1', /there is no "=" after HUFU_PORT; write HUFU_PORT=value/],
  ['HUFU_SECRET hunter2', /there is no "=" after HUFU_SECRET/],
  ['export HUFU_SECRET hunter2', /there is no "=" after HUFU_SECRET/],
  ['HUFU_SECRET', /there is no "=" after HUFU_SECRET/],
  ['mysql://u:hunter2@db/hufu', /^Line 1 of \.env: it is neither a setting/],
  ['OTHER', /neither a setting/],
  ['// hunter2', /neither a setting/],
  ['set HUFU_PORT=1', /neither a setting/],
  ['HUFU_PORT=1\n\nHUFU_PORT=2', /^Line 3 of \.env: HUFU_PORT was there before: remove one of the lines\.$/],
  [
    'HUFU_SECRET="hunter2',
    /the quote that begins the value of HUFU_SECRET is not closed; write HUFU_SECRET="value"/,
  ],
  ['HUFU_SECRET=“hunter2”', /^Line 1 of \.env: the value of HUFU_SECRET begins with “, which is no/],
  ["A=1\nHUFU_SECRET='hunter2\nHUFU_PORT=1\n", /^Line 2 of \.env: the quote .* HUFU_SECRET is not closed/],
  ['HUFU_SECRET="hun\\"ter2"', /something behind the closing quote of HUFU_SECRET/],
  ['HUFU_DATABASE_URL=mysql://u:hunter2#1@db/hufu', /the value of HUFU_DATABASE_URL has a "#"/],
  ['NODE_EXTRA_CA_CERTS=/ca.pem', /NODE_EXTRA_CA_CERTS does nothing here; set it in the environment/],
  [Buffer.from('\uFEFFHUFU_PORT=1', 'utf16le'), /^\.env is UTF-16 or binary: save it as UTF-8\.$/],
  [Buffer.from([0x48, 0x3d, 0xe9, 0x0a]), /^\.env is not UTF-8/],
])('%j is an error that names the line and quotes no value', (text, sentence) => {
  try {
    parse(text)
    expect.fail('it was read')
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    expect(error.message).toMatch(sentence)
    expect(error.zh).toMatch(/\p{Script=Han}.*。$/u)
    expect(error.message + error.zh).not.toMatch(/hunter2|hun\\/)
  }
})

test('a line of any text is a setting, a comment, or an error: nothing is lost', () => {
  const signs = ['HUFU_PORT', 'hufu', '=', ':', ' ', '\t', '"', "'", '#', 'x', '\\', 'export ', '\u00A0']
  // Every word of up to four of these characters.
  const words = (length: number): string[] =>
    length === 0 ? [''] : words(length - 1).flatMap((word) => signs.map((sign) => word + sign))
  for (const line of [1, 2, 3, 4].flatMap(words)) {
    let names: string[] = []
    try {
      names = Object.keys(parse(line))
    } catch (error) {
      if (error instanceof SettingsError) continue
      throw error
    }
    const isSetting = names.length === 1
    expect({ line, ok: isSetting || /^[ \t]*(#.*)?$/.test(line) }).toEqual({ line, ok: true })
  }
})
