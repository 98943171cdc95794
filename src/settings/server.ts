// Settings of the server: where it listens, and with how many processes.
import { whole } from './parsers.ts'
import { setting, WrongValue } from './setting.ts'

export const serverSettings = {
  host: setting({
    name: 'HUFU_HOST',
    default: '127.0.0.1',
    parse: host,
  }),
  port: setting({
    name: 'HUFU_PORT',
    default: '5001',
    parse: whole(0, 65_535),
  }),
  workers: setting({
    name: 'HUFU_WORKERS',
    default: '1',
    parse: whole(1, 128),
  }),
}

function host(text: string): string {
  if (/^[\w.:-]+$/.test(text)) return text
  throw new WrongValue(
    '必须是要监听的地址或主机名，例如 127.0.0.1 或 0.0.0.0',
    'must be an address or a host name to listen on, for example 127.0.0.1 or 0.0.0.0',
  )
}
