// Tencent Cloud SMS, SendSms 2021-01-11: https://cloud.tencent.com/document/api/382/55981
import type { Clock } from '../../clock.ts'
import { origin, word } from '../../settings/parsers.ts'
import { setting } from '../../settings/setting.ts'
import { driver } from '../../vendors/driver.ts'
import { isObject, postToVendor, readJson, textIn, unreadable, vendorTimeoutMs } from '../../vendors/post.ts'
import { type SecretKey, signTc3 } from '../../vendors/sign-tc3.ts'
import { VendorError } from '../../vendors/vendor-error.ts'
import type { Accepted, Skipped, SmsError, SmsErrorCode, SmsGateway, SmsMessage } from '../sms.ts'
import { parameterValues, signName, type Templates, template } from '../template.ts'

export const tencentSms = driver({
  name: 'tencent',
  settings: {
    secretId: setting({
      name: 'HUFU_SMS_TENCENT_SECRET_ID',
      default: '',
      parse: word,
    }),
    secretKey: setting({
      name: 'HUFU_SMS_TENCENT_SECRET_KEY',
      default: '',
      secret: true,
      parse: word,
    }),
    region: setting({
      name: 'HUFU_SMS_TENCENT_REGION',
      default: 'ap-guangzhou',
      parse: word,
    }),
    sdkAppId: setting({
      name: 'HUFU_SMS_TENCENT_SDK_APP_ID',
      default: '',
      parse: word,
    }),
    signName: setting({
      name: 'HUFU_SMS_TENCENT_SIGN_NAME',
      default: '',
      parse: signName,
    }),
    codeTemplate: setting({
      name: 'HUFU_SMS_TENCENT_CODE_TEMPLATE',
      default: '',
      parse: template('code', ['code', 'minutes']),
    }),
    phoneChangedTemplate: setting({
      name: 'HUFU_SMS_TENCENT_PHONE_CHANGED_TEMPLATE',
      default: '',
      parse: template('phone_changed', ['number']),
    }),
    endpoint: setting({
      name: 'HUFU_SMS_TENCENT_ENDPOINT',
      default: 'https://sms.tencentcloudapi.com',
      parse: origin,
    }),
  },
  required: ['secretId', 'secretKey', 'sdkAppId', 'signName', 'codeTemplate'],
  open: (settings, { clock, timeoutMs }) =>
    new TencentSms({
      endpoint: settings.endpoint,
      secret: { id: settings.secretId, key: settings.secretKey },
      region: settings.region,
      sdkAppId: settings.sdkAppId,
      signName: settings.signName,
      templates: { code: settings.codeTemplate, phone_changed: settings.phoneChangedTemplate },
      clock,
      timeoutMs,
    }),
})

interface TencentSmsOptions {
  readonly endpoint: string
  readonly secret: SecretKey
  readonly region: string
  readonly sdkAppId: string
  readonly signName: string
  readonly templates: Templates
  readonly clock: Clock
  readonly timeoutMs: number | undefined
}

class TencentSms implements SmsGateway {
  readonly name = 'tencent'
  readonly #options: TencentSmsOptions

  constructor(options: TencentSmsOptions) {
    this.#options = options
  }

  async send(message: SmsMessage, id: string): Promise<Accepted | Skipped> {
    const { endpoint, templates, timeoutMs = vendorTimeoutMs } = this.#options
    const template = templates[message.template]
    if (template === null) return { outcome: 'skipped', reason: 'no_template' }
    const body = JSON.stringify({
      PhoneNumberSet: [message.to],
      SmsSdkAppId: this.#options.sdkAppId,
      SignName: this.#options.signName,
      TemplateId: template.id,
      TemplateParamSet: parameterValues(message, template).map(([, value]) => value),
      SessionContext: id,
    })
    const { origin, host } = new URL(endpoint)
    const headers = this.#headers(host, body)
    const answer = await postToVendor(this.name, { url: `${origin}/`, headers, body, timeoutMs })
    // Refusals have status 200 too, and a successful call can still have refused its one message.
    const { Response: response } = readJson(this.name, answer)
    const { Error: error, SendStatusSet: statuses } = isObject(response) ? response : {}
    if (isObject(error)) throw refusal(textIn(error, 'Code') ?? '')
    const status = Array.isArray(statuses) ? statuses[0] : null
    const code = isObject(status) ? textIn(status, 'Code') : null
    if (!isObject(status) || code === null) throw unreadable(this.name, answer.status)
    if (code !== 'Ok') throw refusal(code)
    return { outcome: 'sent', gatewayId: textIn(status, 'SerialNo') }
  }

  #headers(host: string, body: string) {
    const { secret, region, clock } = this.#options
    const contentType = 'application/json; charset=utf-8'
    const { authorization, timestamp } = signTc3(
      {
        service: 'sms',
        signedHeaders: { 'content-type': contentType, host, 'x-tc-action': 'SendSms' },
        body,
        now: clock.now(),
      },
      secret,
    )
    return {
      authorization,
      'content-type': contentType,
      'x-tc-action': 'SendSms',
      'x-tc-region': region,
      'x-tc-timestamp': timestamp,
      'x-tc-version': '2021-01-11',
    }
  }
}

/**
 * https://cloud.tencent.com/document/api/382/59177; the families below classify codes that are not listed
 * here.
 */
const known = new Map<string, [SmsErrorCode, retryAfterSeconds?: number]>([
  ['InvalidParameterValue.IncorrectPhoneNumber', ['number_invalid']],
  ['FailedOperation.PhoneNumberInBlacklist', ['number_blocked']],
  ['LimitExceeded.PhoneNumberThirtySecondLimit', ['rate_limited', 30]],
  ['LimitExceeded.PhoneNumberOneHourLimit', ['rate_limited', 3_600]],
  ['LimitExceeded.PhoneNumberDailyLimit', ['rate_limited', 86_400]],
  ['LimitExceeded.PhoneNumberSameContentDailyLimit', ['rate_limited', 86_400]],
  ['LimitExceeded.PhoneNumberCountLimit', ['misconfigured']],
  ['LimitExceeded.AppCountryOrRegionInBlacklist', ['destination_refused']],
  ['LimitExceeded.AppCountryOrRegionDailyLimit', ['destination_refused']],
  ['UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone', ['destination_refused']],
  ['UnsupportedOperation.GlobalTemplateToChineseMainlandPhone', ['destination_refused']],
  ['UnsupportedOperation.UnsupportedRegion', ['destination_refused']],
  // The spelling is that of the vendor's own list.
  ['UnsupportedOperation.UnsuportedRegion', ['destination_refused']],
  ['FailedOperation.InsufficientBalanceInSmsPackage', ['out_of_funds']],
  ['UnauthorizedOperation.ServiceSuspendDueToArrears', ['out_of_funds']],
  // The spelling is that of some of the vendor's own lists.
  ['UnauthorizedOperation.SerivceSuspendDueToArrears', ['out_of_funds']],
  ['FailedOperation.SignatureIncorrectOrUnapproved', ['misconfigured']],
  ['FailedOperation.TemplateIncorrectOrUnapproved', ['misconfigured']],
  ['FailedOperation.TemplateUnapprovedOrNotExist', ['misconfigured']],
  ['FailedOperation.TemplateParamSetNotMatchApprovedTemplate', ['misconfigured']],
  ['FailedOperation.ContainSensitiveWord', ['misconfigured']],
  ['FailedOperation.FailResolvePacket', ['misconfigured']],
  ['FailedOperation.JsonParseFail', ['misconfigured']],
  ['InternalError.RequestTimeException', ['misconfigured']],
  ['InternalError.SigVerificationFail', ['misconfigured']],
  ['InternalError.SigFieldMissing', ['misconfigured']],
])

const families: readonly [RegExp, SmsErrorCode][] = [
  [/^LimitExceeded(\.|$)/, 'rate_limited'],
  // Too many calls a second: refused before the gateway looks at the message, for any recipient.
  [/^RequestLimitExceeded(\.|$)/, 'unavailable'],
  [/^(AuthFailure|UnauthorizedOperation|UnsupportedOperation)(\.|$)/, 'misconfigured'],
  [/^(InvalidParameter|InvalidParameterValue|MissingParameter|UnknownParameter)(\.|$)/, 'misconfigured'],
  [/^(InvalidAction|InvalidRequest|NoSuchVersion|NoSuchProduct|ActionOffline)$/, 'misconfigured'],
  [/^(UnsupportedProtocol|UnsupportedRegion|IpInBlacklist|IpNotInWhitelist)$/, 'misconfigured'],
]

/** Refusals of one kind of message: its template, or the right to send with it. */
const aboutTemplate: readonly RegExp[] = [
  /^FailedOperation\.Template(IncorrectOrUnapproved|UnapprovedOrNotExist|ParamSetNotMatchApprovedTemplate)$/,
  /^UnauthorizedOperation\.IndividualUserMarketingSmsPermissionDeny$/,
]

/**
 * Refusals that do not depend on the number: the key, the rights, the account, the signature, the template,
 * the application, the clock. Codes that are not listed here may depend on the number.
 */
const everyNumber: readonly RegExp[] = [
  /^(AuthFailure|UnauthorizedOperation)(\.|$)/,
  /^FailedOperation\.InsufficientBalanceInSmsPackage$/,
  /^FailedOperation\.SignatureIncorrectOrUnapproved$/,
  ...aboutTemplate,
  /^InvalidParameterValue\.SdkAppIdNotExist$/,
  /^InternalError\.(RequestTimeException|SigVerificationFail|SigFieldMissing)$/,
  /^(InvalidAction|NoSuchVersion|NoSuchProduct|ActionOffline|IpInBlacklist|IpNotInWhitelist)$/,
]

function refusal(vendorCode: string): SmsError {
  const [code, retryAfterSeconds] = known.get(vendorCode) ?? []
  const said = code ?? families.find(([pattern]) => pattern.test(vendorCode))?.[1]
  // The remaining codes, InternalError.Timeout above all, are errors inside the gateway that may come after
  // the sending.
  return new VendorError('tencent', said ?? 'unavailable', {
    surelyNotSent: said !== undefined,
    affectsEveryRecipient: everyNumber.some((pattern) => pattern.test(vendorCode)),
    isAboutTemplate: aboutTemplate.some((pattern) => pattern.test(vendorCode)),
    vendorCode,
    retryAfterSeconds: retryAfterSeconds ?? null,
  })
}
