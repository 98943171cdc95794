// An app that signs in. `platform` comes from its environment.
import { createClient, HufuError, requestTransport, secureStorage, webStorage } from '@hufu/sdk'

const { baseUrl, request, done } = platform
const client = createClient({ baseUrl, transport: requestTransport(request) })

client
  .signIn({ phoneNumber: '12345678901', password: 'wrong' })
  .catch((error) => {
    if (!(error instanceof HufuError) || !secureStorage || !webStorage) throw error
    return client.signIn({ phoneNumber: '12345678901', password: error.code })
  })
  .then(({ session }) => done(session.id, client.state.is), done)
