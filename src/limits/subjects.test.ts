import { isIP } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addressBlock, subjectOf } from './subjects.ts'

const block = (address: string | null) => [addressBlock(address, 32, 64), addressBlock(address, 24, 48)]

describe('the block of an address', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7', '203.0.113'],
    ['::ffff:203.0.113.7', '203.0.113.7', '203.0.113'],
    ['::FFFF:cb00:7107', '203.0.113.7', '203.0.113'],
    ['0:0:0:0:0:ffff:cb00:7107', '203.0.113.7', '203.0.113'],
    ['64:ff9b::203.0.113.7', '203.0.113.7', '203.0.113'],
    ['64:FF9B:0:0:0:0:cb00:7107', '203.0.113.7', '203.0.113'],
    // Prefixes of other lengths, and of a network's own (RFC 8215), do not say where the IPv4 address is.
    ['64:ff9b:1::203.0.113.7', '64:ff9b:1:0::', '64:ff9b:1::'],
    ['64:ff9b::1:203.0.113.7', '64:ff9b:0:0::', '64:ff9b:0::'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::', '2001:db8:1::'],
    ['2001:0DB8:0001:0002::1', '2001:db8:1:2::', '2001:db8:1::'],
    ['2001:db8::', '2001:db8:0:0::', '2001:db8:0::'],
    ['::1', '0:0:0:0::', '0:0:0::'],
    ['::ffff:0:0:1', '0:0:0:0::', '0:0:0::'],
    ['fe80::1%eth0', 'fe80:0:0:0::', 'fe80:0:0::'],
    ['fe80::1%a/b', 'fe80:0:0:0::', 'fe80:0:0::'],
    ['1.2.3.4, 5.6.7.8', 'unknown', 'unknown'],
    ['010.0.0.1', 'unknown', 'unknown'],
    ['', 'unknown', 'unknown'],
    [null, 'unknown', 'unknown'],
  ])('%s is in %s and in %s', (address, own, network) => {
    expect(block(address)).toEqual([own, network])
  })

  test('any address of a /64 is in one block, and any of a /48 in one network', () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.nat(0xffff), (address, group) => {
        const [own = '', network = ''] = block(address)
        if (own.includes('.')) return
        expect(isIP(own)).toBe(6)
        expect(block(`${own}${group.toString(16)}`)).toEqual([own, network])
        expect(block(`${own.split(':').slice(0, 3).join(':')}:${group.toString(16)}::1`)[1]).toBe(network)
      }),
    )
  })
})

test('a counter is named by a hash: the number, the address and the device cannot be read in it', () => {
  const subject = {
    phoneNumber: '+8613800005223',
    address: '203.0.113.7',
    deviceId: 'A1\r\nDEL *',
    accountId: 'a',
    proof: 'p',
  }
  for (const by of [
    'proof',
    'caller',
    'device',
    'account',
    'address',
    'network',
    'number',
    'prefix',
    'server',
  ] as const) {
    expect(subjectOf(by, subject)).toMatch(/^[\w-]{22}$/)
  }
  expect(subjectOf('device', { ...subject, deviceId: null })).toBeNull()
  expect(subjectOf('device', subject)).not.toBe(subjectOf('device', { ...subject, address: '203.0.113.8' }))
  expect(subjectOf('account', { ...subject, accountId: null })).toBeNull()
  expect(subjectOf('proof', { ...subject, proof: null })).toBeNull()
  expect(subjectOf('caller', subject)).not.toBe(subjectOf('caller', { ...subject, address: '203.0.113.8' }))
  expect(subjectOf('number', subject)).not.toBe(
    subjectOf('number', { ...subject, phoneNumber: '+8613800005224' }),
  )
})
