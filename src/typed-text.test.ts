import { expect, test } from 'vitest'
import { isPlainText, visibleText } from './typed-text.ts'

const invisible = /^[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Cc}\p{Cs}\p{Zl}\p{Zp}\uFFF9-\uFFFB]$/u
const needed = /^(?:\u200C|\u200D|\p{Variation_Selector})$/u

test('of all characters, those that no person sees are refused, but for those that visible text needs', () => {
  const wrong: string[] = []
  for (let point = 0; point <= 0x10ffff; point++) {
    const one = String.fromCodePoint(point)
    if (isPlainText(`虎${one}符`) !== (!invisible.test(one) || needed.test(one)))
      wrong.push(point.toString(16))
  }
  expect(wrong).toEqual([])
})

test.each([
  '虎符',
  'Zoë 🐯',
  // Persian, and a conjunct of Devanagari.
  'می\u200cخواهم',
  'क्\u200dष',
  '👩\u200d👩\u200d👧\u200d👦 ❤\ufe0f 1\ufe0f\u20e3',
  '葛\u{e0100}城',
  '🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} Alba',
])('%s is plain', (text) => expect(isPlainText(text)).toBe(true))

test.each([
  ['nothing', ''],
  ['spaces', '  '],
  ['a blank pattern', '\u2800'],
  ['a joiner alone', '\u200d'],
  ['tags behind another character', 'a\u{e0067}\u{e0062}\u{e007f}'],
  ['a text in the tags of a flag', `🏴${'\u{e0061}'.repeat(7)}\u{e007f}`],
  ['tags of a flag without an end', '🏴\u{e0067}\u{e0062}\u{e0073}'],
])('%s is not', (_name, text) => expect(isPlainText(text)).toBe(false))

test('all spellings that look the same are the same visible text', () => {
  const unseen = String.raw`\u00AD \u034F \u061C \u115F \u17B4 \u180E \u200B \u200D \u200E \u202A \u202E \u2060 \u2066 \u2069 \u3164 \uFE0F \uFEFF \uFFA0`
  for (const name of unseen.split(' ')) {
    const one = String.fromCharCode(Number.parseInt(name.slice(2), 16))
    for (const text of [`${one}12 34`, `1${one}2 3${one}4`, `12 34${one}`, `12 34 ${one} `])
      expect({ name, text: visibleText(text) }).toEqual({ name, text: '12 34' })
  }
})

test.each([
  ['１２３４５６', '123456'],
  ['（＋８６）１３８', '(+86)138'],
  ['12\u00A034', '12 34'],
  ['12\u300034', '12 34'],
  ['\u00A0\t12\u2009\n', '12'],
  ['e\u0301', '\u00E9'],
  ['12  34', '12  34'],
  // Digits of other scripts are other characters, and stay.
  ['١٢', '١٢'],
  ['\u200B \uFEFF', ''],
])('the visible text of %j is %j', (text, visible) => expect(visibleText(text)).toBe(visible))
