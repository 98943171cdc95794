// Templates that a gateway has approved: their name there, and which of our words go into them.
import type { SmsMessage } from './sms.ts'

/** What a template can show. */
export type TemplateParameter = 'code' | 'minutes' | 'number'

/** An approved template. The order of the parameters matters where a gateway numbers them. */
export interface Template {
  readonly id: string
  readonly parameters: readonly TemplateParameter[]
}

/** Which template each kind of message has; null: it is not sent. */
export type Templates = Readonly<Record<SmsMessage['template'], Template | null>>

/** The parameters that a kind of message has. */
export const parametersOf: Readonly<Record<SmsMessage['template'], readonly TemplateParameter[]>> = {
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
