// Tencent Cloud's SendSms according to its manual: TC3-HMAC-SHA256 computed from the received request.

import { createHash, createHmac } from 'node:crypto'
import { tencentSms } from '../../../src/sms/drivers/tencent.ts'
import { type DriverCase, now, secret } from './driver-case.ts'
import type { GatewayKind, WireAnswer, WireRequest } from './gateway.ts'

const sha256 = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text, 'utf8').digest()

export interface TencentAccount {
  readonly id: string
  readonly key: string
  readonly sdkAppId: string
  readonly signName: string
  readonly now: () => number
}

export function tencentGateway(account: TencentAccount): GatewayKind {
  return {
    refuseStranger(request) {
      const { headers, body } = request
      const [, id, date, names = '', signature] =
        /^TC3-HMAC-SHA256 Credential=([^/]+)\/(\d{4}-\d\d-\d\d)\/sms\/tc3_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
          headers.authorization ?? '',
        ) ?? []
      const seconds = Number(headers['x-tc-timestamp'])
      if (id !== account.id) return callError('AuthFailure.SecretIdNotFound')
      if (Math.abs(seconds * 1000 - account.now()) > 300_000) return callError('AuthFailure.SignatureExpire')
      if (date !== new Date(seconds * 1000).toISOString().slice(0, 10))
        return callError('AuthFailure.SignatureFailure')
      if (signature !== signatureOf(request, { names: names.split(';'), date, key: account.key }))
        return callError('AuthFailure.SignatureFailure')
      if (headers['x-tc-action'] !== 'SendSms') return callError('InvalidAction')
      if (headers['x-tc-version'] !== '2021-01-11') return callError('NoSuchVersion')
      if (!headers['x-tc-region']) return callError('MissingParameter')
      const { SmsSdkAppId, SignName } = JSON.parse(body)
      if (SmsSdkAppId !== account.sdkAppId) return callError('UnauthorizedOperation.SmsSdkAppIdVerifyFail')
      if (SignName !== account.signName) return status('FailedOperation.SignatureIncorrectOrUnapproved')
      return null
    },
    read({ body }) {
      const { PhoneNumberSet, TemplateId, TemplateParamSet, SessionContext } = JSON.parse(body)
      return {
        to: PhoneNumberSet.join(),
        content: { template: TemplateId, parameters: TemplateParamSet },
        id: SessionContext,
      }
    },
    accepted: (count) => status('Ok', `5000:104571066915705365784949961${count}`),
    // Errors of the call come as an Error, those of the message as its status.
    refused: (code) =>
      /^(AuthFailure|RequestLimitExceeded|InternalError$|MissingParameter|InvalidAction)/.test(code)
        ? callError(code)
        : status(code),
  }
}

interface Signing {
  readonly names: string[]
  readonly date: string
  readonly key: string
}

function signatureOf({ method, url, headers, body }: WireRequest, { names, date, key }: Signing): string {
  if (!names.includes('host') || !names.includes('content-type')) return ''
  const lines = names.map((name) => `${name}:${String(headers[name]).trim().toLowerCase()}\n`).join('')
  const query = url.search.slice(1)
  const canonical = [method, '/', query, lines, names.join(';'), sha256(body)].join('\n')
  const toSign = `TC3-HMAC-SHA256\n${headers['x-tc-timestamp']}\n${date}/sms/tc3_request\n${sha256(canonical)}`
  return hmac(hmac(hmac(hmac(`TC3${key}`, date), 'sms'), 'tc3_request'), toSign).toString('hex')
}

function callError(Code: string): WireAnswer {
  const Message = 'The provided credentials could not be validated. +8613800005223 123456'
  return {
    status: 200,
    body: JSON.stringify({
      Response: { Error: { Code, Message }, RequestId: 'ed93f3cb-f35e-473f-b9f3-0d451b8b79c6' },
    }),
  }
}

function status(Code: string, SerialNo = ''): WireAnswer {
  const one = {
    SerialNo,
    PhoneNumber: '+8613800005223',
    Fee: Code === 'Ok' ? 1 : 0,
    SessionContext: '',
    Code,
    Message: Code === 'Ok' ? 'send success' : '123456',
    IsoCode: 'CN',
  }
  return {
    status: 200,
    body: JSON.stringify({
      Response: { SendStatusSet: [one], RequestId: 'a0aabda6-cf91-4f3e-a81f-9198114a2279' },
    }),
  }
}

export const tencentCase: DriverCase = {
  driver: tencentSms,
  gateway: tencentGateway({ id: 'AKID-id', key: secret, sdkAppId: '1400006666', signName: '虎符', now }),
  settings: ({ url, secret, templates }) => ({
    endpoint: url,
    secretId: 'AKID-id',
    secretKey: secret,
    region: 'ap-guangzhou',
    sdkAppId: '1400006666',
    signName: '虎符',
    codeTemplate: templates.code,
    phoneChangedTemplate: templates.phone_changed,
  }),
  understood: {
    code: { template: 'T_1', parameters: ['123456', '5'] },
    changed: { template: 'T_2', parameters: ['139****0001'] },
  },
  gatewayId: '5000:1045710669157053657849499611',
  refusals: [
    ['InvalidParameterValue.IncorrectPhoneNumber', 'number_invalid', null],
    ['FailedOperation.PhoneNumberInBlacklist', 'number_blocked', null],
    ['LimitExceeded.PhoneNumberThirtySecondLimit', 'rate_limited', 30],
    ['LimitExceeded.PhoneNumberOneHourLimit', 'rate_limited', 3_600],
    ['LimitExceeded.PhoneNumberDailyLimit', 'rate_limited', 86_400],
    ['LimitExceeded.DeliveryFrequencyLimit', 'rate_limited', null],
    ['LimitExceeded.AppDailyLimit', 'rate_limited', null],
    ['FailedOperation.SignatureIncorrectOrUnapproved', 'misconfigured', null],
    ['FailedOperation.TemplateIncorrectOrUnapproved', 'misconfigured', null],
    ['FailedOperation.TemplateParamSetNotMatchApprovedTemplate', 'misconfigured', null],
    ['UnauthorizedOperation.RequestIpNotInWhitelist', 'misconfigured', null],
    ['AuthFailure.SecretIdNotFound', 'misconfigured', null],
    ['FailedOperation.InsufficientBalanceInSmsPackage', 'out_of_funds', null],
    ['UnauthorizedOperation.ServiceSuspendDueToArrears', 'out_of_funds', null],
    ['RequestLimitExceeded', 'unavailable', null],
    ['RequestLimitExceeded.UinLimitExceeded', 'unavailable', null],
    ['UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone', 'destination_refused', null],
    ['UnsupportedOperation.SomethingNew', 'misconfigured', null],
  ],
  perhapsOneNumber: [
    'RequestLimitExceeded',
    'RequestLimitExceeded.UinLimitExceeded',
    'UnsupportedOperation.SomethingNew',
  ],
  aboutTemplate: [
    'FailedOperation.TemplateIncorrectOrUnapproved',
    'FailedOperation.TemplateParamSetNotMatchApprovedTemplate',
  ],
  doubts: ['InternalError', 'InternalError.Timeout', 'FailedOperation', 'constructor', '短信'],
  strangers: { key: 'AuthFailure.SignatureFailure', clock: 'AuthFailure.SignatureExpire' },
}
