// Jest loads the package unchanged: it transforms nothing in node_modules.
const { createClient, HufuError, requestTransport } = require('@hufu/sdk')

test('an app signs in', async () => {
  const request = ({ success }) => success({ statusCode: 401, data: '' })
  const client = createClient({ baseUrl: 'https://hufu.test', transport: requestTransport(request) })
  await expect(client.signIn({ phoneNumber: '1', password: 'x' })).rejects.toBeInstanceOf(HufuError)
})
