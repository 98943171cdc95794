import { expect, test } from 'vitest'
import { ForeignProtocols, foreignProtocolOf } from './foreign-protocols.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')

test.each([
  ['\x16\x03\x01\x06\x1b\x01', 'tls'],
  ['\x16\x03\x03', 'tls'],
  ['\x16', 'tls'],
  ['\x16\x04', null],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
  ['PRI / HTTP/1.1\r\n', null],
  ['PROXY TCP4 203.0.113.7 10.0.0.5 51234 80\r\nGET / HTTP/1.1\r\n', 'proxy'],
  ['\r\n\r\n\0\r\nQUIT\n!\x11\0\f', 'proxy'],
  ['\r\n\r\nGET / HTTP/1.1\r\n', null],
  ['SSH-2.0-OpenSSH_9.2\r\n', null],
  ['', null],
])('%j is %s', (text, protocol) => {
  expect(foreignProtocolOf(bytes(text))).toBe(protocol)
})

test('each protocol is reported once a minute at most', () => {
  let now = 5
  const said: string[] = []
  const log = { foreignProtocol: (protocol: string, peer?: string) => void said.push(`${protocol} ${peer}`) }
  const protocols = new ForeignProtocols(log, () => now)
  const come = (...texts: string[]) => {
    for (const text of texts)
      protocols.logFrom(Object.assign(new Error('HPE_INVALID_METHOD'), { rawPacket: bytes(text) }), {
        remoteAddress: '203.0.113.7',
      })
    return said.splice(0)
  }
  expect(come('\x16\x03', '\x16\x03', 'PROXY TCP4', 'x')).toEqual(['tls 203.0.113.7', 'proxy 203.0.113.7'])
  now += 59_999
  expect(come('\x16\x03', 'PROXY TCP4')).toEqual([])
  now += 1
  expect(come('\x16\x03', '\x16\x03')).toEqual(['tls 203.0.113.7'])
  protocols.logFrom({}, { remoteAddress: '203.0.113.7' })
  expect(said).toEqual([])
})
