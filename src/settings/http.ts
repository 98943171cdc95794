// Settings of requests that come through proxies, and from web pages.
import { isIPv4, isIPv6 } from 'node:net'
import { origins } from './origins.ts'
import { setting, WrongValue } from './setting.ts'

export const httpSettings = {
  trustedProxies: setting({
    name: 'HUFU_TRUSTED_PROXIES',
    default: '',
    parse: proxies,
  }),
  allowedOrigins: setting({
    name: 'HUFU_ALLOWED_ORIGINS',
    default: '',
    parse: origins,
  }),
}

/**
 * Addresses and CIDR blocks. A number of hops, or "all", is never accepted: with both, any client could write
 * the header.
 */
function proxies(text: string): readonly string[] {
  const items = text === '' ? [] : text.split(',').map((item) => item.trim())
  if (items.every(isAddressOrBlock)) return items
  throw new WrongValue(
    '必须是用逗号隔开的地址或 CIDR 网段，例如 10.0.0.5,10.1.0.0/16,fd00::/8；没有代理就留空',
    'must be addresses or CIDR blocks with commas between them, for example 10.0.0.5,10.1.0.0/16,fd00::/8, or empty for no proxy',
  )
}

function isAddressOrBlock(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/')
  // Without a zone, and IPv4 in its own form: an address that is compared with it is never IPv4 in IPv6.
  const max = isIPv4(address) ? 32 : isIPv6(address) && !/[%.]|^::ffff:/i.test(address) ? 128 : 0
  const isGood = bits === undefined || (/^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= max)
  return max > 0 && isGood && more.length === 0
}
