import { expect, test } from 'vitest'
import { signAcs3 } from './sign-acs3.ts'

test("the signature of Alibaba Cloud's published example comes out to the letter", () => {
  // "V3 request structure and signature", fixed parameters example (RunInstances of ECS):
  // https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature
  const { query, headers } = signAcs3(
    {
      host: 'ecs.cn-shanghai.aliyuncs.com',
      action: 'RunInstances',
      version: '2014-05-26',
      parameters: {
        RegionId: 'cn-shanghai',
        ImageId: 'win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd',
      },
      now: Date.parse('2023-10-26T10:22:32Z'),
      nonce: '3156853299f313e23d1673dc12e1703d',
    },
    { id: 'YourAccessKeyId', secret: 'YourAccessKeySecret' },
  )
  expect(query).toBe('ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai')
  expect(headers.authorization).toBe(
    'ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0',
  )
})

test('a query is encoded as RFC 3986 has it: nothing stays but letters, digits and -_.~', () => {
  const parameters = { b: "短信 a*b+c'(!)~_-.", a: '{"code":"123456"}' }
  const request = { host: 'h', action: 'A', version: 'V', parameters, now: 0, nonce: 'n' }
  expect(signAcs3(request, { id: 'i', secret: 's' }).query).toBe(
    'a=%7B%22code%22%3A%22123456%22%7D&b=%E7%9F%AD%E4%BF%A1%20a%2Ab%2Bc%27%28%21%29~_-.',
  )
})
