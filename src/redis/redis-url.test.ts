import { describe, expect, test } from 'vitest'
import { slotOf } from './cluster.ts'
import { parseRedisUrl, urlOf } from './redis-url.ts'

const urls = (text: string) => {
  const place = parseRedisUrl(text)
  if (place.kind === 'one') return [urlOf(place.nodes, place.address)]
  if (place.kind === 'cluster') return place.seeds.map((address) => urlOf(place.nodes, address))
  return place.sentinels.map((address) => urlOf(place.sentinelUrls, address))
}

test.each([
  ['redis://127.0.0.1', 'redis://127.0.0.1:6379/'],
  ['redis://:pass%40word@[::1]:6380/3', 'redis://:pass%40word@[::1]:6380/3'],
  ['rediss://user:pw@redis.example.com:6380', 'rediss://user:pw@redis.example.com:6380/'],
  [
    'redis+cluster://:pw@a:7000,b,[fd00::1]:7002',
    'redis://:pw@a:7000/,redis://:pw@b:6379/,redis://:pw@[fd00::1]:7002/',
  ],
  ['rediss+cluster://a:7000/0', 'rediss://a:7000/'],
  ['redis+sentinel://:pw@a,b:26380/mymaster', 'redis://a:26379/,redis://b:26380/'],
  ['redis+sentinel://:pw@a/mymaster?sentinel_password=x%40y', 'redis://:x%40y@a:26379/'],
  ['rediss+sentinel://a/m?sentinel_user=u&sentinel_password=p', 'rediss://u:p@a:26379/'],
])('%s is asked at %s', (text, expected) => {
  expect(urls(text).join()).toBe(expected)
})

test('the primary that sentinels name is asked with the login and the database of the setting', () => {
  const place = parseRedisUrl('redis+sentinel://user:pw@a,b/my%20master?db=2&sentinel_password=other')
  expect(place).toMatchObject({ kind: 'sentinel', name: 'my master' })
  expect(urlOf(place.nodes, '10.0.0.7:6379')).toBe('redis://user:pw@10.0.0.7:6379/2')
})

describe('what cannot be meant is refused, with what to write instead', () => {
  const forms = /^must be redis:\/\/user:password@host:port, redis\+sentinel:\/\/.*, or empty for no Redis$/
  test.each([
    ['127.0.0.1:6379', forms],
    ['http://127.0.0.1', forms],
    ['redis://', forms],
    ['redis://a:99999', forms],
    ['redis://a b', forms],
    ['redis+sentinel://a,,b/name', forms],
    ['redis+valkey://a', forms],
    ['redis://a,b', /^has several hosts: begin with redis\+sentinel:.*, or begin with redis\+cluster:/],
    ['redis://a/zero', /^must name a database by its number$/],
    ['redis://a?x=1', /^has the option x, which cannot be used: only redis\+sentinel:\/\/ takes options$/],
    ['redis://a?ssl_cert_reqs=required', /^has the option ssl_cert_reqs, .*: for TLS write rediss:\/\/, /],
    ['redis://a?tls=true', /^has the option tls, .*: for TLS write rediss:\/\/, /],
    ['redis://a?db=1', /^has the option db, .*: write it behind the host/],
    ['redis://a?password=x', /^has the option password, .*: write it before the host/],
    ['redis://:p@ss@host', /percent-encode them, "@" as %40/],
    ['redis://secret@host', /^has no ":" before the "@": write redis:\/\/:password@host/],
    [
      'redis+sentinel://a/m?sentinelPassword=x',
      /^has the option sentinelPassword, .*: write sentinel_password$/,
    ],
    ['redis://:50%@a', /^has a "%" .*: write it as %25$/],
    ['redis+sentinel://a,b', /^must end with the name of the primary.*\/mymaster$/],
    ['redis+sentinel://a,b/', /^must end with the name of the primary/],
    [
      'redis+sentinel://a/name?password=x',
      /^has the option password, which cannot be used: write it before the host/,
    ],
    ['redis+sentinel://a/name?db=x', /^must name a database by its number$/],
    ['redis+cluster://a,b/1', /^must name no database behind a "\/": Redis Cluster has one$/],
    ['redis+cluster://a,b?db=1', /^has the option db, which cannot be used/],
  ])('%s', (text, message) => {
    expect(() => parseRedisUrl(text)).toThrow(message)
  })
})

test.each([
  // The check value of the specification, and slots that Redis itself computed.
  ['123456789', 0x31c3],
  ['foo', 12_182],
  ['', 0],
  ['AaIEC20HckenT4Gxh7XQvQ', 3_279],
])('the slot of "%s" is %i', (tag, slot) => {
  expect(slotOf(tag)).toBe(slot)
})
