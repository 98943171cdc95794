// Tencent Cloud SMS, SendSms 2021-01-11: https://cloud.tencent.com/document/api/382/55981
import type { Clock } from '../../clock.ts'
import {
  gatewayTimeoutMs,
  isObject,
  postToGateway,
  readJson,
  textIn,
  unreadable,
} from '../../vendors/post.ts'
import { type SecretKey, signTc3 } from '../../vendors/sign-tc3.ts'
import {
  type Accepted,
  type Skipped,
  type SmsDriver,
  SmsError,
  type SmsErrorCode,
  type SmsMessage,
} from '../sms.ts'
import { parameterValues, type Templates } from '../template.ts'

export interface TencentSmsOptions {
  readonly endpoint: string
  readonly secret: SecretKey
  readonly region: string
  readonly sdkAppId: string
  readonly signName: string
  readonly templates: Templates
  readonly clock: Clock
  readonly timeoutMs?: number
}

export class TencentSms implements SmsDriver {
  readonly name = 'tencent'
  readonly #options: TencentSmsOptions

  constructor(options: TencentSmsOptions) {
    this.#options = options
  }

  async send(message: SmsMessage, id: string): Promise<Accepted | Skipped> {
    const { endpoint, templates, timeoutMs = gatewayTimeoutMs } = this.#options
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
    const answer = await postToGateway(this.name, { url: `${origin}/`, headers, body, timeoutMs })
    // The status is 200 for refusals too; and the call can be good while the one message of it is refused.
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

/** https://cloud.tencent.com/document/api/382/59177; codes that are not here are told by their family. */
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
  // As it is spelt in their own list.
  ['UnsupportedOperation.UnsuportedRegion', ['destination_refused']],
  ['FailedOperation.InsufficientBalanceInSmsPackage', ['out_of_funds']],
  ['UnauthorizedOperation.ServiceSuspendDueToArrears', ['out_of_funds']],
  // As it is spelt in some of their own lists.
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
  // Too many calls a second: turned away at the door, whoever the message was for.
  [/^RequestLimitExceeded(\.|$)/, 'unavailable'],
  [/^(AuthFailure|UnauthorizedOperation|UnsupportedOperation)(\.|$)/, 'misconfigured'],
  [/^(InvalidParameter|InvalidParameterValue|MissingParameter|UnknownParameter)(\.|$)/, 'misconfigured'],
  [/^(InvalidAction|InvalidRequest|NoSuchVersion|NoSuchProduct|ActionOffline)$/, 'misconfigured'],
  [/^(UnsupportedProtocol|UnsupportedRegion|IpInBlacklist|IpNotInWhitelist)$/, 'misconfigured'],
]

/**
 * Refusals that come for every number: the key, the rights, the account, the signature, the template, the application, the clock. What
 * is not here may depend on the number.
 */
const everyNumber: readonly RegExp[] = [
  /^(AuthFailure|UnauthorizedOperation)(\.|$)/,
  /^FailedOperation\.InsufficientBalanceInSmsPackage$/,
  /^FailedOperation\.(SignatureIncorrectOrUnapproved|Template(IncorrectOrUnapproved|UnapprovedOrNotExist))$/,
  /^FailedOperation\.TemplateParamSetNotMatchApprovedTemplate$/,
  /^InvalidParameterValue\.SdkAppIdNotExist$/,
  /^InternalError\.(RequestTimeException|SigVerificationFail|SigFieldMissing)$/,
  /^(InvalidAction|NoSuchVersion|NoSuchProduct|ActionOffline|IpInBlacklist|IpNotInWhitelist)$/,
]

function refusal(gatewayCode: string): SmsError {
  const [code, retryAfterSeconds] = known.get(gatewayCode) ?? []
  const said = code ?? families.find(([pattern]) => pattern.test(gatewayCode))?.[1]
  // What is left, InternalError.Timeout above all, is trouble on the gateway's side that may come after the sending.
  return new SmsError('tencent', said ?? 'unavailable', {
    surelyNotSent: said !== undefined,
    affectsEveryNumber: everyNumber.some((pattern) => pattern.test(gatewayCode)),
    gatewayCode,
    retryAfterSeconds: retryAfterSeconds ?? null,
  })
}
