// Values that the examples of several routes share. They all belong to one account, and are values that a
// server could have received and returned.

export const phone_number = '12345678901'
/** A number that can receive codes; the tutorial's number is not a mobile number. */
export const mobile = '13800138000'
export const code = '493817'
export const password = 'a horse, a staple'
export const device = { platform: 'ios', id: '8C1F0A52-77B1-4E0A', name: 'iPhone 15', app_version: '2.1.0' }
export const at = '2026-11-22T02:32:05.120Z'
export const later = '2026-12-22T02:32:05.120Z'
export const account = {
  id: '01a20118-b100-7e74-8bfc-a4850c38b84f',
  phone_number: '+8612345678901',
  nickname: '测试用户1',
}
export const details = {
  ...account,
  avatar_url: null,
  locale: 'zh-CN',
  has_password: true,
  registered_at: at,
}
export const session = {
  id: 'AaIBGLEAet2tp7E0JbgHfQ',
  platform: 'ios',
  device: { id: device.id, name: device.name, app_version: device.app_version },
  ip: '203.0.113.7',
  created_at: at,
  seen_at: at,
  expires_at: later,
  current: true,
}
export const token = 'hf_AaIBGLEAet2tp7E0JbgHfQ1fW1lUsX2shMW7BXOidT5kDfWKh068C44hxiUf2Iw9M'
