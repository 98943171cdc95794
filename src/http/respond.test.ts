import { expect, test } from 'vitest'
import { AppError } from '../errors.ts'
import type { Device } from '../sessions/sessions.ts'
import { problemOf } from './respond.ts'

const at = Date.parse('2026-11-22T02:32:00Z')
const clock = { now: () => at + 60_000, timeZone: 'Asia/Shanghai' }

test.each<[Device['platform'], string | null, string, string]>([
  ['ios', 'iPhone 15', '您的账号于 10:32 在 iPhone 15 登录', 'at 10:32 on iPhone 15.'],
  ['ios', null, '您的账号于 10:32 在 iOS 设备 登录', 'at 10:32 on an iOS device.'],
  ['mini_program', null, '您的账号于 10:32 在 小程序 登录', 'at 10:32 on a mini program.'],
  ['other', null, '您的账号于 10:32 在另一台设备登录', 'at 10:32 on another device.'],
  ['classic', null, '您的账号于 10:32 在另一台设备登录', 'at 10:32 on another device.'],
])('a phone that was replaced from %s (%s) is told so in words for people', (platform, deviceName, zh, en) => {
  const error = new AppError('session_replaced', { endedAt: at, endedBy: { platform, deviceName } })
  const told = (language: 'zh-CN' | 'en') => problemOf(error, { language, clock, requestId: 'r' }).detail
  expect(told('zh-CN')).toContain(zh)
  expect(told('en')).toContain(en)
})
