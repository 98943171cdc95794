import { expect, test } from 'vitest'
import { signTc3 } from './sign-tc3.ts'

// "Signature v3", the example DescribeInstances of CVM: https://cloud.tencent.com/document/api/213/30654 and
// https://www.tencentcloud.com/document/api/614/42761 (every product has it). The body has the six characters
// \u672a, not the letter.
const body = '{"Limit": 1, "Filters": [{"Values": ["\\u672a\\u547d\\u540d"], "Name": "instance-name"}]}'
const common = { 'content-type': 'application/json; charset=utf-8', host: 'cvm.tencentcloudapi.com' }
const now = 1_551_113_065_000

test.each([
  {
    edition: 'earlier',
    signedHeaders: common,
    secret: { id: 'AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE', key: 'Gu5t9xGARNpq86cd98joQYCN3EXAMPLE' },
    names: 'content-type;host',
    signature: '72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168',
  },
  {
    edition: 'present',
    signedHeaders: { ...common, 'x-tc-action': 'DescribeInstances' },
    secret: { id: 'AKID********************************', key: '********************************' },
    names: 'content-type;host;x-tc-action',
    signature: '10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f',
  },
])("the signature of the $edition edition of Tencent Cloud's example comes out to the letter", (example) => {
  const { signedHeaders, secret, names, signature } = example
  expect(signTc3({ service: 'cvm', signedHeaders, body, now }, secret)).toEqual({
    authorization: `TC3-HMAC-SHA256 Credential=${secret.id}/2019-02-25/cvm/tc3_request, SignedHeaders=${names}, Signature=${signature}`,
    timestamp: '1551113065',
  })
})

test('the day is that of UTC, whatever the time zone of the machine', () => {
  // 2019-02-26 00:44 in Beijing.
  expect(signTc3({ service: 'cvm', signedHeaders: common, body, now }, { id: 'i', key: 'k' })).toMatchObject({
    authorization: expect.stringContaining('/2019-02-25/'),
  })
})
