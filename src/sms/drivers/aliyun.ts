// Alibaba Cloud SMS, SendSms 2017-05-25: https://help.aliyun.com/document_detail/55284.html
import { randomUUID } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import { origin, word } from '../../settings/parsers.ts'
import { setting } from '../../settings/setting.ts'
import { driver } from '../../vendors/driver.ts'
import { postToVendor, readJson, textIn, unreadable, vendorTimeoutMs } from '../../vendors/post.ts'
import { type AccessKey, signAcs3 } from '../../vendors/sign-acs3.ts'
import { VendorError } from '../../vendors/vendor-error.ts'
import type { Accepted, Skipped, SmsError, SmsErrorCode, SmsGateway, SmsMessage } from '../sms.ts'
import { parameterValues, signName, type Templates, template } from '../template.ts'

export const aliyunSms = driver({
  name: 'aliyun',
  settings: {
    accessKeyId: setting({
      name: 'HUFU_SMS_ALIYUN_ACCESS_KEY_ID',
      default: '',
      parse: word,
    }),
    accessKeySecret: setting({
      name: 'HUFU_SMS_ALIYUN_ACCESS_KEY_SECRET',
      default: '',
      secret: true,
      parse: word,
    }),
    signName: setting({
      name: 'HUFU_SMS_ALIYUN_SIGN_NAME',
      default: '',
      parse: signName,
    }),
    codeTemplate: setting({
      name: 'HUFU_SMS_ALIYUN_CODE_TEMPLATE',
      default: '',
      parse: template('code', ['code']),
    }),
    phoneChangedTemplate: setting({
      name: 'HUFU_SMS_ALIYUN_PHONE_CHANGED_TEMPLATE',
      default: '',
      parse: template('phone_changed', ['number']),
    }),
    endpoint: setting({
      name: 'HUFU_SMS_ALIYUN_ENDPOINT',
      default: 'https://dysmsapi.aliyuncs.com',
      parse: origin,
    }),
  },
  required: ['accessKeyId', 'accessKeySecret', 'signName', 'codeTemplate'],
  open: (settings, { clock, timeoutMs }) =>
    new AliyunSms({
      endpoint: settings.endpoint,
      key: { id: settings.accessKeyId, secret: settings.accessKeySecret },
      signName: settings.signName,
      templates: { code: settings.codeTemplate, phone_changed: settings.phoneChangedTemplate },
      clock,
      timeoutMs,
    }),
})

interface AliyunSmsOptions {
  readonly endpoint: string
  readonly key: AccessKey
  readonly signName: string
  readonly templates: Templates
  readonly clock: Clock
  readonly timeoutMs: number | undefined
}

class AliyunSms implements SmsGateway {
  readonly name = 'aliyun'
  readonly #options: AliyunSmsOptions

  constructor(options: AliyunSmsOptions) {
    this.#options = options
  }

  async send(message: SmsMessage, id: string): Promise<Accepted | Skipped> {
    const { endpoint, key, signName, templates, clock, timeoutMs = vendorTimeoutMs } = this.#options
    const template = templates[message.template]
    if (template === null) return { outcome: 'skipped', reason: 'no_template' }
    const parameters = {
      PhoneNumbers: aliyunNumber(message.to),
      SignName: signName,
      TemplateCode: template.id,
      TemplateParam: JSON.stringify(Object.fromEntries(parameterValues(message, template))),
      OutId: id,
    }
    const url = new URL(endpoint)
    const { query, headers } = signAcs3(
      {
        host: url.host,
        action: 'SendSms',
        version: '2017-05-25',
        parameters,
        now: clock.now(),
        nonce: randomUUID(),
      },
      key,
    )
    const request = { url: `${url.origin}/?${query}`, headers, body: null, timeoutMs }
    const answer = await postToVendor(this.name, request)
    const members = readJson(this.name, answer)
    const code = textIn(members, 'Code')
    if (code === 'OK') return { outcome: 'sent', gatewayId: textIn(members, 'BizId') }
    if (code === null) throw unreadable(this.name, answer.status)
    throw refusal(code, textIn(members, 'Message'))
  }
}

/** Mainland numbers without a country code, others with it and without a plus sign. */
function aliyunNumber(e164: string): string {
  return e164.replace(/^\+86(?=1\d{10}$)|^\+/, '')
}

/**
 * https://help.aliyun.com/document_detail/101346.html; the families below classify codes that are not listed
 * here.
 */
const known = new Map<string, SmsErrorCode>([
  ['isv.MOBILE_NUMBER_ILLEGAL', 'number_invalid'],
  ['isv.CUSTOMER_REFUSED', 'number_blocked'],
  ['isv.DOMESTIC_NUMBER_NOT_SUPPORTED', 'destination_refused'],
  ['isv.BUSINESS_LIMIT_CONTROL', 'rate_limited'],
  ['isv.DAY_LIMIT_CONTROL', 'rate_limited'],
  ['isv.MONTH_LIMIT_CONTROL', 'rate_limited'],
  ['isv.AMOUNT_NOT_ENOUGH', 'out_of_funds'],
  ['isv.OUT_OF_SERVICE', 'out_of_funds'],
])

/** Refusals of one kind of message: its template, its values, and a signature that may not use it. */
const aboutTemplate =
  /^isv\.(SMS_TEMPLATE_ILLEGAL|TEMPLATE_(MISSING_PARAMETERS|PARAMS_ILLEGAL)|SMS_SIGNATURE_SCENE_ILLEGAL)$/

/**
 * Refusals that do not depend on the number: the account, the signature, the template, the caller's address,
 * the key, the clock. Codes that are not listed here may depend on the number.
 */
const everyNumber: readonly RegExp[] = [
  /^isv\.(AMOUNT_NOT_ENOUGH|OUT_OF_SERVICE|ACCOUNT_NOT_EXISTS|ACCOUNT_ABNORMAL|PRODUCT_UN_?SUBSCRI(PT|BE))$/,
  /^isv\.(SMS_SIGNATURE_ILLEGAL|SMS_SIGN_ILLEGAL|SIGN_NAME_ILLEGAL|SIGN_STATE_ILLEGAL|DENY_IP_RANGE)$/,
  aboutTemplate,
  /^isp\.RAM_PERMISSION_DENY$/,
  /^(InvalidAccessKeyId|SignatureDoesNotMatch|IncompleteSignature|InvalidTimeStamp|Forbidden|NoPermission)/,
]

/** By the beginning of a code: its kind, and whether the message can have been sent. */
const families: readonly [RegExp, SmsErrorCode, 'surely' | 'perhaps'][] = [
  // Too many calls a second: refused before the gateway looks at the message, for any recipient.
  [/^Throttling/, 'unavailable', 'surely'],
  [/^isp\.RAM_PERMISSION_DENY$/, 'misconfigured', 'surely'],
  [/^isv\./, 'misconfigured', 'surely'],
  // Refused by the API itself: keys, signature, clock, parameters.
  [
    /^(InvalidAccessKeyId|SignatureDoesNotMatch|IncompleteSignature|SignatureNonceUsed)/,
    'misconfigured',
    'surely',
  ],
  [/^(Forbidden|NoPermission|Invalid|Missing|Unsupported)/, 'misconfigured', 'surely'],
]

function refusal(vendorCode: string, text: string | null): SmsError {
  const family = families.find(([pattern]) => pattern.test(vendorCode))
  const exact = known.get(vendorCode)
  // The remaining codes, isp.SYSTEM_ERROR above all, are errors inside the gateway that may come after the
  // sending.
  const [, code, sureness] = family ?? [null, 'unavailable' as const, 'perhaps' as const]
  return new VendorError('aliyun', exact ?? code, {
    surelyNotSent: exact !== undefined || sureness === 'surely',
    affectsEveryRecipient: everyNumber.some((pattern) => pattern.test(vendorCode)),
    isAboutTemplate: aboutTemplate.test(vendorCode),
    vendorCode,
    retryAfterSeconds: vendorCode === 'isv.BUSINESS_LIMIT_CONTROL' ? limitSeconds(text ?? '') : null,
  })
}

/** The maximum duration of a limit. Only the error text says which limit it was. */
function limitSeconds(text: string): number | null {
  if (text.includes('分钟级')) return 60
  if (text.includes('小时级')) return 3_600
  return text.includes('天级') ? 86_400 : null
}
