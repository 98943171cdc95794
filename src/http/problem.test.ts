import { expect, test } from 'vitest'
import { AppError } from '../errors.ts'
import type { Device } from '../sessions/sessions.ts'
import { problemOf } from './problem.ts'

const at = Date.parse('2026-11-22T02:32:00Z')
const clock = { now: () => at + 60_000, timeZone: 'Asia/Shanghai' }

test.each<[Device['platform'], string | null, string, string]>([
  ['ios', 'iPhone 15', '您的账号于 10:32 在 iPhone 15 登录', 'signed in on iPhone 15 at 02:32 UTC.'],
  ['ios', null, '您的账号于 10:32 在 iOS 设备登录', 'signed in on an iOS device at 02:32 UTC.'],
  [
    'ios',
    '小明的 iPhone',
    '您的账号于 10:32 在小明的 iPhone 登录',
    'signed in on 小明的 iPhone at 02:32 UTC.',
  ],
  ['mini_program', null, '您的账号于 10:32 在小程序登录', 'signed in on a mini program at 02:32 UTC.'],
  ['other', null, '您的账号于 10:32 在另一台设备登录', 'signed in on another device at 02:32 UTC.'],
  ['classic', null, '您的账号于 10:32 在另一台设备登录', 'signed in on another device at 02:32 UTC.'],
])('a phone that was replaced from %s (%s) is told so in words for people', (platform, deviceName, zh, en) => {
  const error = new AppError('session_replaced', { endedAt: at, endedBy: { platform, deviceName } })
  const told = (language: 'zh-CN' | 'en') => problemOf(error, { language, clock, requestId: 'r' }).detail
  expect(told('zh-CN')).toContain(zh)
  expect(told('en')).toContain(en)
})

test.each<[AppError, string, string]>([
  [new AppError('rate_limited', { retryAfterSeconds: 607 }), '请等待 607 秒。', 'Wait 607 s.'],
  [new AppError('code_not_sent', { retryAfterSeconds: 30 }), '请等待 30 秒。', 'Wait 30 s.'],
  [new AppError('password_refused', { rule: 'too_short' }), '至少 8 个字符', 'at least 8 characters'],
  [new AppError('password_refused', { rule: 'too_long' }), '最多 256 个字符', 'at most 256 characters'],
  [new AppError('password_refused', { rule: 'is_phone_number' }), '请换一个', 'Choose another'],
  [new AppError('password_refused', { rule: 'is_common' }), '很容易被猜到', 'easy to guess'],
])('the detail says what to do: %s', (error, zh, en) => {
  const told = (language: 'zh-CN' | 'en') => problemOf(error, { language, clock, requestId: 'r' }).detail
  expect(told('zh-CN')).toContain(zh)
  expect(told('en')).toContain(en)
})
