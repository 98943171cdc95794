// Templates and signatures that a gateway has approved: their names there, and the values that go into a
// template.
import { WrongValue } from '../settings/setting.ts'
import type { SmsMessage } from './sms.ts'

/** A value that a template can show. */
export type TemplateParameter = 'code' | 'minutes' | 'number'

/** An approved template. The order of the parameters matters where a gateway numbers them. */
export interface Template {
  readonly id: string
  readonly parameters: readonly TemplateParameter[]
}

/** The template of each kind of message; null: such messages are not sent. */
export type Templates = Readonly<Record<SmsMessage['template'], Template | null>>

/** The parameters that a kind of message has. */
const parametersOf: Readonly<Record<SmsMessage['template'], readonly TemplateParameter[]>> = {
  code: ['code', 'minutes'],
  phone_changed: ['number'],
}

/** The values of a template's parameters, in its order. */
export function parameterValues(message: SmsMessage, template: Template): [TemplateParameter, string][] {
  const values: Partial<Record<TemplateParameter, string>> =
    message.template === 'code'
      ? { code: message.code, minutes: String(message.minutes) }
      : { number: message.newNumber }
  return template.parameters.map((name) => [name, values[name] ?? ''])
}

/** Reads a template from a setting: `<id>` or `<id>:<parameter>,<parameter>`; null where it is empty. */
export function template(kind: SmsMessage['template'], byDefault: readonly TemplateParameter[]) {
  return (text: string): Template | null => {
    if (text === '') return null
    const [, id, list] = /^([\w-]{1,64})(?::([a-z,]*))?$/.exec(text) ?? []
    if (id === undefined)
      throw new WrongValue(
        '必须是模板的编号，例如 SMS_154950909:code',
        'must be the id of a template, for example SMS_154950909:code',
      )
    if (list === undefined) return { id, parameters: byDefault }
    const words = list === '' ? [] : list.split(',')
    const parameters = words.flatMap((name) => parametersOf[kind].filter((known) => known === name))
    const isComplete = parameters.length === words.length && new Set(words).size === words.length
    if (!isComplete || (kind === 'code' && !parameters.includes('code'))) {
      throw new WrongValue(
        `的参数列表只能由这些组成：${parametersOf[kind].join('、')}`,
        `has a list of parameters that is not made of: ${parametersOf[kind].join(', ')}`,
      )
    }
    return { id, parameters }
  }
}

/** Reads the name of a signature (签名) from a setting. */
export function signName(text: string): string {
  if (!/\p{Cc}|[【】]/u.test(text)) return text
  throw new WrongValue('只写签名的名称，不带【】', 'must be the name of the signature alone, without 【】')
}
