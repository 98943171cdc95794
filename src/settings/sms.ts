// The settings of text messages: rows of the table in settings.ts, and what each driver cannot do without.
import { parseRegion, type Region } from '../phone/phone.ts'
import { type SmsDriverName, type SmsMessage, smsDriverNames } from '../sms/sms.ts'
import { parametersOf, type Template, type TemplateParameter } from '../sms/template.ts'
import { type SettingGroup, SettingsError, setting, type ValuesOf, WrongValue } from './setting.ts'

function drivers(text: string): readonly [SmsDriverName, ...SmsDriverName[]] {
  const words = text.split(',').map((word) => word.trim())
  const [first, ...more] = words.flatMap((word) => smsDriverNames.filter((name) => name === word))
  const areKnown = first !== undefined && more.length === words.length - 1
  if (!areKnown || new Set(words).size !== words.length) {
    throw new WrongValue(
      `必须是其中之一：${smsDriverNames.join('、')}；或者用逗号隔开的两个，第二个用于故障切换`,
      `must be one of: ${smsDriverNames.join(', ')}; or two different ones with a comma between them, the second for fail-over`,
    )
  }
  if (more.length > 1) throw new WrongValue('最多写两个驱动', 'must name two drivers at most')
  if (more.length > 0 && words.includes('console'))
    throw new WrongValue(
      '不能把 console 和短信网关放在一起：验证码会被打印而不是发出',
      'must not combine console with a gateway: codes would be printed instead of sent',
    )
  return [first, ...more]
}

const countriesForm = [
  '必须是用逗号隔开的地区代码（ISO 3166-1），可带每天的条数，例如 CN,HK=200；* 表示所有其他地区',
  'must be regions (ISO 3166-1) with commas between them, each perhaps with messages a day, for example CN,HK=200; * is every other region',
] as const

/** `CN,HK=200,*=50` -> regions and the messages of a day that each may get; null where none is said. */
function countries(text: string): ReadonlyMap<Region | '*', number | null> {
  const items = text === '' ? [] : text.split(',').map((item) => item.trim())
  const listed = new Map<Region | '*', number | null>()
  for (const item of items) {
    const [, name = '', budget] = /^([A-Z]{2}|\*)(?:=(\d{1,9}))?$/.exec(item) ?? []
    const region = name === '*' ? name : parseRegion(name)
    if (region === null || listed.has(region)) throw new WrongValue(...countriesForm)
    listed.set(region, budget === undefined ? null : Number(budget))
  }
  return listed
}

function numbers(text: string): 'mobile' | 'possible' {
  if (text === 'mobile' || text === 'possible') return text
  throw new WrongValue('必须是其中之一：mobile、possible', 'must be one of: mobile, possible')
}

/** Empty: not set. Nothing but visible text, because it becomes part of headers and addresses. */
function word(text: string): string {
  if (/^[!-~]*$/.test(text)) return text
  throw new WrongValue(
    '必须是不含空白的字母、数字和符号',
    'must be letters, digits and signs without white space',
  )
}

function signName(text: string): string {
  if (!/\p{Cc}|[【】]/u.test(text)) return text
  throw new WrongValue('只写签名的名称，不带【】', 'must be the name of the signature alone, without 【】')
}

function httpUrl(text: string): string {
  if (text === '') return text
  const url = URL.parse(text)
  if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url.href
  throw new WrongValue(
    '必须是不含用户名和密码的 http:// 或 https:// 网址',
    'must be an http:// or https:// URL without a name and a password in it',
  )
}

function origin(text: string): string {
  const url = URL.parse(text)
  if (url && /^https?:$/.test(url.protocol) && `${url.origin}/` === url.href) return url.origin
  throw new WrongValue(
    '必须是 https://host 或 http://host:port，后面什么都没有',
    'must be https://host or http://host:port, and nothing behind it',
  )
}

function twilioFrom(text: string): string {
  if (/^(\+[1-9]\d{3,14}|\d{3,8}|MG[0-9a-f]{32}|[A-Za-z0-9 ]{1,11}|)$/.test(text)) return text
  throw new WrongValue(
    '必须是号码（例如 +15005550006）、最多 11 个字母或数字的发送者，或 MG…',
    'must be a number such as +15005550006, a sender of 11 letters or digits at most, or MG…',
  )
}

/** `<id>` or `<id>:<parameter>,<parameter>`; empty: no such template. */
function template(kind: SmsMessage['template'], byDefault: readonly TemplateParameter[]) {
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

const templateForm = '`<id>` or `<id>:<parameters>`'

export const smsSettings = {
  chosen: setting({
    name: 'HUFU_SMS',
    default: 'console',
    meaning:
      'How text messages are sent: `console` (printed, for development), `http`, `aliyun`, `tencent` or `twilio`; `first,second` for fail-over.',
    parse: drivers,
  }),
  countries: setting({
    name: 'HUFU_SMS_COUNTRIES',
    default: '',
    meaning:
      'Countries whose numbers get codes (ISO 3166-1), each perhaps with its messages a day: `CN,HK=200`; `*`: every other one. Empty: the default region.',
    parse: countries,
  }),
  numbers: setting({
    name: 'HUFU_SMS_NUMBERS',
    default: 'mobile',
    meaning:
      'Which numbers get codes: `mobile` ones by the numbering plan of their country, or every `possible` one.',
    parse: numbers,
  }),
  drivers: {
    http: {
      url: setting({
        name: 'HUFU_SMS_HTTP_URL',
        default: '',
        meaning: 'http: where messages are posted to.',
        secret: true,
        parse: httpUrl,
      }),
      secret: setting({
        name: 'HUFU_SMS_HTTP_SECRET',
        default: '',
        meaning: 'http: the key of the signature.',
        secret: true,
        parse: (text: string): string => text,
      }),
    },
    aliyun: {
      accessKeyId: setting({
        name: 'HUFU_SMS_ALIYUN_ACCESS_KEY_ID',
        default: '',
        meaning: 'aliyun: id of the access key.',
        parse: word,
      }),
      accessKeySecret: setting({
        name: 'HUFU_SMS_ALIYUN_ACCESS_KEY_SECRET',
        default: '',
        meaning: 'aliyun: secret of the access key.',
        secret: true,
        parse: word,
      }),
      signName: setting({
        name: 'HUFU_SMS_ALIYUN_SIGN_NAME',
        default: '',
        meaning: 'aliyun: the approved signature (签名), without 【】.',
        parse: signName,
      }),
      codeTemplate: setting({
        name: 'HUFU_SMS_ALIYUN_CODE_TEMPLATE',
        default: '',
        meaning: `aliyun: the template of codes, ${templateForm}; without a list it gets \`code\`.`,
        parse: template('code', ['code']),
      }),
      phoneChangedTemplate: setting({
        name: 'HUFU_SMS_ALIYUN_PHONE_CHANGED_TEMPLATE',
        default: '',
        meaning: `aliyun: the template that tells the old number about the new one, ${templateForm}. Empty: not sent.`,
        parse: template('phone_changed', ['number']),
      }),
      endpoint: setting({
        name: 'HUFU_SMS_ALIYUN_ENDPOINT',
        default: 'https://dysmsapi.aliyuncs.com',
        meaning: 'aliyun: where its API is.',
        parse: origin,
      }),
    },
    tencent: {
      secretId: setting({
        name: 'HUFU_SMS_TENCENT_SECRET_ID',
        default: '',
        meaning: 'tencent: SecretId.',
        parse: word,
      }),
      secretKey: setting({
        name: 'HUFU_SMS_TENCENT_SECRET_KEY',
        default: '',
        meaning: 'tencent: SecretKey.',
        secret: true,
        parse: word,
      }),
      region: setting({
        name: 'HUFU_SMS_TENCENT_REGION',
        default: 'ap-guangzhou',
        meaning: 'tencent: region of the API.',
        parse: word,
      }),
      sdkAppId: setting({
        name: 'HUFU_SMS_TENCENT_SDK_APP_ID',
        default: '',
        meaning: 'tencent: SmsSdkAppId of the SMS application.',
        parse: word,
      }),
      signName: setting({
        name: 'HUFU_SMS_TENCENT_SIGN_NAME',
        default: '',
        meaning: 'tencent: the approved signature (签名), without 【】.',
        parse: signName,
      }),
      codeTemplate: setting({
        name: 'HUFU_SMS_TENCENT_CODE_TEMPLATE',
        default: '',
        meaning: `tencent: the template of codes, ${templateForm}; without a list {1} is \`code\` and {2} is \`minutes\`.`,
        parse: template('code', ['code', 'minutes']),
      }),
      phoneChangedTemplate: setting({
        name: 'HUFU_SMS_TENCENT_PHONE_CHANGED_TEMPLATE',
        default: '',
        meaning: `tencent: the template that tells the old number about the new one, ${templateForm}. Empty: not sent.`,
        parse: template('phone_changed', ['number']),
      }),
      endpoint: setting({
        name: 'HUFU_SMS_TENCENT_ENDPOINT',
        default: 'https://sms.tencentcloudapi.com',
        meaning: 'tencent: where its API is.',
        parse: origin,
      }),
    },
    twilio: {
      accountSid: setting({
        name: 'HUFU_SMS_TWILIO_ACCOUNT_SID',
        default: '',
        meaning: 'twilio: Account SID.',
        parse: word,
      }),
      authToken: setting({
        name: 'HUFU_SMS_TWILIO_AUTH_TOKEN',
        default: '',
        meaning: 'twilio: Auth Token.',
        secret: true,
        parse: word,
      }),
      from: setting({
        name: 'HUFU_SMS_TWILIO_FROM',
        default: '',
        meaning:
          'twilio: the number or sender that messages come from, or the SID of a messaging service (`MG…`).',
        parse: twilioFrom,
      }),
      endpoint: setting({
        name: 'HUFU_SMS_TWILIO_ENDPOINT',
        default: 'https://api.twilio.com',
        meaning: 'twilio: where its API is.',
        parse: origin,
      }),
    },
  },
}

/** What a driver cannot do without. */
const required = {
  http: ['url', 'secret'],
  aliyun: ['accessKeyId', 'accessKeySecret', 'signName', 'codeTemplate'],
  tencent: ['secretId', 'secretKey', 'sdkAppId', 'signName', 'codeTemplate'],
  twilio: ['accountSid', 'authToken', 'from'],
} as const

/** @throws SettingsError that names the first setting that a chosen driver lacks */
export function assertSmsSettings({ chosen, drivers }: ValuesOf<typeof smsSettings>): void {
  for (const driver of chosen) {
    if (driver === 'console') continue
    const rows: SettingGroup = smsSettings.drivers[driver]
    const values: Readonly<Record<string, unknown>> = drivers[driver]
    const missing = required[driver]
      .map((key) => ({ value: values[key], row: rows[key] }))
      .find(({ value }) => value === '' || value === null)
    if (missing?.row)
      throw new SettingsError(
        `HUFU_SMS 是“${chosen.join(',')}”，但没有设置 ${missing.row.name}。`,
        `HUFU_SMS is "${chosen.join(',')}", but ${missing.row.name} is not set.`,
      )
  }
}
