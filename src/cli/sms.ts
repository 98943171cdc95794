// hufu sms: test.
import { randomInt } from 'node:crypto'
import { openDestinations, openSms } from '../app/messages.ts'
import { systemClock } from '../clock.ts'
import { maskPhoneNumber, parsePhoneNumber } from '../phone/phone.ts'
import { isSmsError, type SmsError, type SmsErrorCode } from '../sms/sms.ts'
import type { Context } from './context.ts'
import { exitCodes, type Output } from './output.ts'

/** `sms test <phone>`: the code is random and opens nothing. */
export async function testSms({ settings, output }: Context, phone: string): Promise<number> {
  const to = parsePhoneNumber(phone, settings.phone.defaultRegion)
  openDestinations(settings).assertServed(to, 'anyone')
  const code = String(randomInt(1_000_000)).padStart(6, '0')
  const sms = openSms(settings, systemClock, {
    onFailOver: (refusal) => output.line(failureText(refusal, output)),
  })
  try {
    const sent = await sms.send({ to, template: 'code', code, minutes: 5 })
    if (sent.outcome === 'skipped') {
      const text = output.say(
        `${sent.driver} 没有配置模板，未发送`,
        `${sent.driver} has no template: not sent`,
      )
      return output.fail(exitCodes.refused, sent.reason, text, { driver: sent.driver })
    }
    const { driver, gatewayId, id } = sent
    const names = gatewayId === null ? id : `${id}, ${gatewayId}`
    output.line(
      output.say(
        `${driver} 已接受发往 ${maskPhoneNumber(to)} 的短信（${names}）`,
        `${driver} accepted the message to ${maskPhoneNumber(to)} (${names})`,
      ),
    )
    output.value({ driver, id, gateway_id: gatewayId })
    return exitCodes.done
  } catch (error) {
    if (!isSmsError(error)) throw error
    const exitCode = error.code === 'unavailable' ? exitCodes.unavailable : exitCodes.refused
    return output.fail(exitCode, error.code, failureText(error, output), {
      driver: error.driver,
      gateway_code: error.vendorCode,
      surely_not_sent: error.surelyNotSent,
      retry_after_seconds: error.retryAfterSeconds,
    })
  }
}

function failureText(error: SmsError, output: Output): string {
  const { zh, en } = advice[error.code]
  const detail = error.vendorCode ?? causeOf(error)
  const doubt = error.surelyNotSent
    ? ''
    : output.say('短信可能已经发出，不会重发。', ' The message may have been sent; it is not sent again.')
  const words = output.say(zh, en)
  return `${error.driver}: ${error.code}${detail ? ` (${detail})` : ''}. ${words}${doubt}`
}

/** The system's error code of a failed connection, such as ECONNREFUSED. */
function causeOf({ cause }: SmsError): string | null {
  if (!(cause instanceof Error)) return null
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name
}

const advice: Readonly<Record<SmsErrorCode, { zh: string; en: string }>> = {
  number_invalid: {
    zh: '网关不接受这个号码：请检查号码。',
    en: 'The gateway does not accept this number: check it.',
  },
  number_blocked: {
    zh: '这个号码已退订或在黑名单中：需要机主或网关解除。',
    en: 'The number has opted out or is on a block list: its owner or the gateway must lift that.',
  },
  destination_refused: {
    zh: '网关不向这个号码的国家、地区或网络发送：请在网关的控制台开通，或换一个网关。',
    en: "The gateway does not send to this number's country or network: allow it in the gateway's console, or use another gateway.",
  },
  rate_limited: {
    zh: '超过了网关的频率或限额：请稍后再试，或在网关的控制台调整。',
    en: "A limit of the gateway is reached: wait, or raise it in the gateway's console.",
  },
  misconfigured: {
    zh: '网关拒绝了这些设置：请检查密钥、签名、模板和本机时钟，见 docs/sms.zh-CN.md。',
    en: 'The gateway refuses our settings: check key, signature, template and the clock; see docs/sms.md.',
  },
  out_of_funds: {
    zh: '网关账户余额不足：请充值或购买套餐包。',
    en: 'The balance of the account with the gateway is too low: top it up.',
  },
  unavailable: {
    zh: '网关没有返回有效的响应：请检查网络和地址，稍后再试。',
    en: 'The gateway returned no valid response: check the network and the address, and try again later.',
  },
}
