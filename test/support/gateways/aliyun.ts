// Alibaba Cloud's SendSms according to its manual: ACS3-HMAC-SHA256 computed from the received request.

import { createHash, createHmac } from 'node:crypto'
import { aliyunSms } from '../../../src/sms/drivers/aliyun.ts'
import { type DriverCase, now, secret } from './driver-case.ts'
import type { GatewayKind, WireAnswer, WireRequest } from './gateway.ts'

const sha256 = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex')

export interface AliyunAccount {
  readonly id: string
  readonly secret: string
  readonly signName: string
  readonly now: () => number
}

export function aliyunGateway(account: AliyunAccount): GatewayKind {
  const nonces = new Set<string>()
  return {
    refuseStranger: (request) => {
      const { headers, url } = request
      const [, keyId, names = '', signature] =
        /^ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})$/.exec(
          headers.authorization ?? '',
        ) ?? []
      if (keyId !== account.id) return gatewayError(404, 'InvalidAccessKeyId.NotFound')
      if (signature !== signatureOf(request, names.split(';'), account.secret))
        return gatewayError(400, 'SignatureDoesNotMatch')
      if (Math.abs(Date.parse(String(headers['x-acs-date'])) - account.now()) > 900_000)
        return gatewayError(400, 'InvalidTimeStamp.Expired')
      const nonce = String(headers['x-acs-signature-nonce'])
      if (nonces.has(nonce)) return gatewayError(400, 'SignatureNonceUsed')
      nonces.add(nonce)
      if (headers['x-acs-action'] !== 'SendSms' || headers['x-acs-version'] !== '2017-05-25')
        return gatewayError(404, 'InvalidAction.NotFound')
      if (url.searchParams.get('SignName') !== account.signName)
        return { status: 200, body: refusalBody('isv.SMS_SIGNATURE_ILLEGAL') }
      return null
    },
    read: ({ url }) => ({
      to: url.searchParams.get('PhoneNumbers') ?? '',
      content: {
        template: url.searchParams.get('TemplateCode'),
        ...JSON.parse(url.searchParams.get('TemplateParam') ?? '{}'),
      },
      id: url.searchParams.get('OutId'),
    }),
    accepted: (count) => ({
      status: 200,
      body: JSON.stringify({
        RequestId: 'F655A8D5-B967-440B-8683-DAD6FF8DE990',
        Message: 'OK',
        BizId: `90061974693649844${count}^0`,
        Code: 'OK',
      }),
    }),
    refused: (code) =>
      /^is[vp]\./.test(code) ? { status: 200, body: refusalBody(code) } : gatewayError(400, code),
  }
}

function signatureOf({ method, url, headers, body }: WireRequest, names: string[], secret: string): string {
  const mustBeSigned = ['host', 'x-acs-action', 'x-acs-content-sha256', 'x-acs-date', 'x-acs-version']
  if (!mustBeSigned.every((name) => names.includes(name))) return ''
  if (headers['x-acs-content-sha256'] !== sha256(body)) return ''
  const query = url.search
    .slice(1)
    .split('&')
    .toSorted((a, b) => (a < b ? -1 : 1))
    .join('&')
  const lines = names.toSorted().map((name) => `${name}:${String(headers[name]).trim()}\n`)
  const canonical = `${method}\n${url.pathname}\n${query}\n${lines.join('')}\n${names.join(';')}\n${sha256(body)}`
  return createHmac('sha256', secret)
    .update(`ACS3-HMAC-SHA256\n${sha256(canonical)}`)
    .digest('hex')
}

/** The errors of the API gateway. */
function gatewayError(status: number, Code: string): WireAnswer {
  return {
    status,
    body: JSON.stringify({
      RequestId: '9D2F3C2E-9A36-5D63-8A3C-0E4C3F6B7E51',
      HostId: 'dysmsapi.aliyuncs.com',
      Code,
      Message: 'Specified signature is not matched with our calculation. +8613800005223 123456',
      Recommend: `https://api.aliyun.com/troubleshoot?q=${Code}`,
    }),
  }
}

const limits: Readonly<Record<string, string>> = {
  minute: '触发分钟级流控Permits:1',
  hour: '触发小时级流控Permits:5',
  day: '触发天级流控Permits:10',
}

/** The errors of the SMS service; `isv.BUSINESS_LIMIT_CONTROL/hour` selects one of its messages. */
function refusalBody(code: string): string {
  const [Code = '', limit = ''] = code.split('/')
  return JSON.stringify({
    RequestId: 'B7700B8E-227E-5886-9564-26036172F01F',
    Message: limits[limit] ?? `+8613800005223 手机号码格式错误 123456`,
    Code,
  })
}

export const aliyunCase: DriverCase = {
  driver: aliyunSms,
  gateway: aliyunGateway({ id: 'LTAI-id', secret, signName: '虎符 (测试)*', now }),
  settings: ({ url, secret, templates }) => ({
    endpoint: url,
    accessKeyId: 'LTAI-id',
    accessKeySecret: secret,
    signName: '虎符 (测试)*',
    codeTemplate: templates.code,
    phoneChangedTemplate: templates.phone_changed,
  }),
  understood: {
    code: { template: 'T_1', code: '123456', minutes: '5' },
    changed: { template: 'T_2', number: '139****0001' },
  },
  gatewayId: '900619746936498441^0',
  refusals: [
    ['isv.MOBILE_NUMBER_ILLEGAL', 'number_invalid', null],
    ['isv.CUSTOMER_REFUSED', 'number_blocked', null],
    ['isv.BUSINESS_LIMIT_CONTROL/minute', 'rate_limited', 60],
    ['isv.BUSINESS_LIMIT_CONTROL/hour', 'rate_limited', 3_600],
    ['isv.BUSINESS_LIMIT_CONTROL/day', 'rate_limited', 86_400],
    ['isv.BUSINESS_LIMIT_CONTROL', 'rate_limited', null],
    ['isv.DAY_LIMIT_CONTROL', 'rate_limited', null],
    ['isv.SIGN_STATE_ILLEGAL', 'misconfigured', null],
    ['isv.SMS_TEMPLATE_ILLEGAL', 'misconfigured', null],
    ['isv.SMS_SIGNATURE_SCENE_ILLEGAL', 'misconfigured', null],
    ['isv.DENY_IP_RANGE', 'misconfigured', null],
    ['isp.RAM_PERMISSION_DENY', 'misconfigured', null],
    ['InvalidAccessKeyId.Inactive', 'misconfigured', null],
    ['isv.AMOUNT_NOT_ENOUGH', 'out_of_funds', null],
    ['isv.OUT_OF_SERVICE', 'out_of_funds', null],
    ['Throttling.User', 'unavailable', null],
    ['isv.DOMESTIC_NUMBER_NOT_SUPPORTED', 'destination_refused', null],
    ['isv.SOMETHING_NEW', 'misconfigured', null],
  ],
  perhapsOneNumber: ['Throttling.User', 'isv.SOMETHING_NEW'],
  aboutTemplate: ['isv.SMS_TEMPLATE_ILLEGAL', 'isv.SMS_SIGNATURE_SCENE_ILLEGAL'],
  doubts: ['isp.SYSTEM_ERROR', 'ServiceUnavailable', 'InternalError', 'constructor', '短信'],
  strangers: { key: 'SignatureDoesNotMatch', clock: 'InvalidTimeStamp.Expired' },
}
