import { BlockList } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { areWithin, isInNetworks, networkAround, parseNetwork } from './networks.ts'

test.each([
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['10.1.2.3', '10.1.2.3/32'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['2001:DB8:0:0::/32', '2001:db8::/32'],
  ['::1', '::1/128'],
  ['::/0', '::/0'],
  ['::ffff:10.0.0.1', '10.0.0.1/32'],
])('%s is the network %s', (text, network) => {
  expect(parseNetwork(text)).toBe(network)
  expect(parseNetwork(network)).toBe(network)
})

test.each([
  '',
  '10.0.0.0/33',
  '10.0.0.0/08',
  '10.0.0.0/-1',
  '10.0.0.0/8/8',
  '10.0.0/8',
  '10.1.2.3/8',
  '10.0.0.0/',
  '2001:db8::1/32',
  'fe80::1%eth0',
  '::/129',
  'localhost',
])('%j is no network', (text) => {
  expect(parseNetwork(text)).toBe(null)
})

test('an address is in a network, and the one behind its end is not', () => {
  const networks = ['10.1.0.0/16', '2001:db8::/33']
  for (const inside of ['10.1.0.0', '10.1.255.255', '::ffff:10.1.2.3', '2001:db8:7fff::1'])
    expect(isInNetworks(networks, inside)).toBe(true)
  for (const outside of ['10.0.255.255', '10.2.0.0', '2001:db8:8000::', '::1', 'unknown', null])
    expect(isInNetworks(networks, outside)).toBe(false)
  expect(isInNetworks([], '10.1.0.0')).toBe(false)
})

test.each([
  ['10.1.2.3', '10.1.2.0/24'],
  ['::ffff:10.1.2.3', '10.1.2.0/24'],
  ['2001:db8:1:2::3', '2001:db8:1::/48'],
  ['::1', '::/48'],
  ['unknown', null],
])('the network around %s is %s', (address, network) => {
  expect(networkAround(address)).toBe(network)
})

test('IPv6 has no network of IPv4, and the reverse', () => {
  expect(isInNetworks(['0.0.0.0/0'], '::1')).toBe(false)
  expect(isInNetworks(['::/0'], '10.0.0.1')).toBe(false)
})

test('networks are within others only where each of them is', () => {
  expect(areWithin(['10.1.0.0/16', '10.2.3.4/32'], ['10.0.0.0/8'])).toBe(true)
  expect(areWithin(['10.1.0.0/16', '11.0.0.0/8'], ['10.0.0.0/8'])).toBe(false)
  expect(areWithin(['10.0.0.0/8'], ['10.1.0.0/16'])).toBe(false)
})

test('the answer is that of node:net', () => {
  fc.assert(
    fc.property(
      fc.ipV4(),
      fc.integer({ min: 1, max: 32 }),
      fc.ipV6(),
      fc.integer({ min: 1, max: 128 }),
      fc.oneof(fc.ipV4(), fc.ipV6()),
      (ipv4, bits4, ipv6, bits6, address) => {
        // node:net treats IPv4 in IPv6 in another way.
        fc.pre(![ipv6, address].some((text) => /^[0:]*:ffff:/i.test(text)))
        const family = address.includes(':') ? 'ipv6' : 'ipv4'
        const list = new BlockList()
        if (family === 'ipv4') list.addSubnet(ipv4, bits4, 'ipv4')
        else list.addSubnet(ipv6, bits6, 'ipv6')
        const network = family === 'ipv4' ? `${ipv4}/${bits4}` : `${ipv6}/${bits6}`
        expect(isInNetworks([network], address)).toBe(list.check(address, family))
        expect(isInNetworks([network], network.split('/')[0] ?? '')).toBe(true)
      },
    ),
  )
})
