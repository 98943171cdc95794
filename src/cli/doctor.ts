// hufu doctor: checks everything that a server depends on, and says what to do.
import type { Settings } from '../settings/settings.ts'
import { calledAs } from './called-as.ts'
import type { Context } from './context.ts'
import { databaseFindings } from './doctor-database.ts'
import { openFileFindings } from './doctor-files.ts'
import type { Finding } from './doctor-finding.ts'
import { redisFindings } from './doctor-redis.ts'
import { exitCodes, limitsOffWarning, type Output, testNumbersOverWarning } from './output.ts'

/** `doctor`: exit code 1 where something must be fixed before the server can run. */
export async function doctor({ settings, output }: Context): Promise<number> {
  const findings = [
    settingsFinding(output),
    ...openFileFindings(settings, output),
    ...limitsFindings(settings, output),
    ...proxyFindings(settings, output),
    ...(await databaseFindings(settings, output)),
    ...(await redisFindings(settings, output)),
    smsFinding(settings, output),
    ...testNumberFindings(settings, output),
  ]
  const marks = {
    ok: output.style('green', '✓'),
    warning: output.style('yellow', '!'),
    problem: output.style('red', '✗'),
  }
  for (const { check, status, text: said } of findings) {
    const text = output.hide(said)
    output.line(`${marks[status]} ${check.padEnd(10)} ${text}`)
    output.value({ check, status, text })
  }
  return findings.some(({ status }) => status === 'problem') ? exitCodes.refused : exitCodes.done
}

/** Wrong settings have ended the command already: run.ts reads them first. */
function settingsFinding(output: Output): Finding {
  return {
    check: 'settings',
    status: 'ok',
    text: output.say('所有设置均有效', 'all settings are valid'),
  }
}

function limitsFindings({ limits }: Settings, output: Output): Finding[] {
  if (limits.enforcement === 'on') return []
  return [{ check: 'limits', status: 'warning', text: limitsOffWarning(output) }]
}

/**
 * A server that listens to this machine alone gets its phones through a proxy on it. A trial on one machine
 * needs none.
 */
function proxyFindings({ server: { host }, http }: Settings, output: Output): Finding[] {
  const isLocal = host === 'localhost' || host === '::1' || host.startsWith('127.')
  if (!isLocal || http.trustedProxies.length > 0) return []
  const text = output.say(
    '没有设置代理：如果前面有代理，请把它的地址写进 HUFU_TRUSTED_PROXIES，否则所有手机共用它的限额；没有代理时请忽略',
    'no proxy is set: behind one, set its address in HUFU_TRUSTED_PROXIES, or all phones share its limits; without one, ignore this',
  )
  return [{ check: 'proxies', status: 'warning', text }]
}

/** Sends nothing; `sms test` does that. */
function smsFinding({ sms }: Settings, output: Output): Finding {
  const check = 'sms'
  const [first, second] = sms.chosen
  if (first === 'console') {
    return {
      check,
      status: 'warning',
      text: output.say(
        'console：验证码只打印在标准错误里，不会发到手机；上线前请设置 HUFU_SMS',
        'console: codes are printed to standard error and reach no phone; set HUFU_SMS before users sign in',
      ),
    }
  }
  const drivers = second
    ? output.say(`${first}，失败时改用 ${second}`, `${first}, and ${second} where it surely did not send`)
    : first
  const test = `${calledAs(import.meta.url).command} sms test`
  const advice = output.say(`试发一条：${test} <手机号>`, `to try it: ${test} <phone>`)
  return { check, status: 'ok', text: `${drivers} (${advice})` }
}

function testNumberFindings(settings: Settings, output: Output): Finding[] {
  const text = testNumbersOverWarning(settings, output)
  return text === null ? [] : [{ check: 'sms', status: 'warning', text }]
}
