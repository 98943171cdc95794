// docs/sms.md.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { whenProcessEnds } from '../../support/services/ending.ts'
import { freePort } from '../../support/services/ports.ts'
import { until } from '../../support/services/until.ts'
import { blockOf, by, runs, type Script } from './blocks.ts'
import { differenceFrom, shapeOf } from './shown.ts'
import { command } from './steps.ts'
import { jsonOf, type Walk } from './walk.ts'

/** The standard error of the driver. */
const printedByConsole = runs(async (walk, { text, path, line }) => {
  const printed = await walk.shell.run('npm run -s hufu -- sms test 13800005223 2>&1 >/dev/null')
  const anyCode = (message: string) => message.replaceAll(/(?<!\d)\d{6}(?!\d)/g, '123456')
  expect(differenceFrom(anyCode(text), anyCode(printed)), `${path}:${line}`).toBe(null)
})

/** The settings as a file `.env`, which `doctor` reads; secret files are in this folder. */
async function settings(walk: Walk, text: string): Promise<{ status: string; text: string }> {
  const secret = join(walk.folder, 'secret')
  writeFileSync(secret, 'secret', { mode: 0o600 })
  const filled = text.replaceAll(/\/run\/secrets\/\w+/g, secret).replaceAll('…', '0'.repeat(32))
  writeFileSync(join(walk.folder, '.env'), filled, { mode: 0o600 })
  const printed = await walk.shell.run('npm run -s hufu -- doctor --json')
  const checks = printed
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
  expect(checks.find(({ check }) => check === 'settings')).toMatchObject({ status: 'ok' })
  return checks.find(({ check }) => check === 'sms')
}

/** `doctor` accepts the settings, and reports that codes go through this driver. */
const driver = runs(async (walk, { text }) => {
  const [, name] = /^HUFU_SMS=(\w+)$/m.exec(text) ?? []
  const sms = await settings(walk, text)
  expect(sms).toMatchObject({ status: 'ok', text: expect.stringContaining(String(name)) })
})

/** A gateway that accepts only requests that the page's function verifies as Hufu's, and records them. */
async function startGateway(walk: Walk, port: number, secret: string): Promise<string> {
  const { text } = blockOf('docs/sms.md', 'import { createHmac')
  const taken = join(walk.folder, 'taken.json')
  const file = join(walk.folder, 'gateway.mjs')
  writeFileSync(
    file,
    `${text}
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
createServer((request, response) => {
  let body = ''
  request.on('data', (piece) => (body += piece)).on('end', () => {
    if (!isFromHufu(request.headers, body, '${secret}')) return response.writeHead(401).end('{}')
    writeFileSync('${taken}', JSON.stringify({ headers: request.headers, body: JSON.parse(body) }))
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":"gateway-1"}')
  })
}).listen(${port}, '127.0.0.1', () => console.log('listening'))
`,
  )
  const child: ChildProcess = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] })
  whenProcessEnds(() => void child.kill('SIGKILL'))
  walk.afterwards(async () => {
    child.kill('SIGTERM')
    await once(child, 'exit')
  })
  let output = ''
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk))
  await until(async () => output.includes('listening'))
  return taken
}

/** A message through a custom gateway, with the headers and the body of the page. */
const ownGateway = runs(async (walk, { text }) => {
  const port = await freePort()
  const [, secret = ''] = /^HUFU_SMS_HTTP_SECRET=(.*)$/m.exec(text) ?? []
  const taken = await startGateway(walk, port, secret)
  await settings(walk, text.replace('https://sms.example.com', `http://127.0.0.1:${port}`))
  expect(JSON.parse(await walk.shell.run('npm run -s hufu -- sms test 13800005223 --json'))).toMatchObject({
    driver: 'http',
    gateway_id: 'gateway-1',
  })
  const { headers, body } = JSON.parse(readFileSync(taken, 'utf8'))
  for (const line of blockOf('docs/sms.md', 'x-hufu-timestamp').text.trimEnd().split('\n'))
    expect(Object.keys(headers)).toContain(line.split(':')[0])
  expect(shapeOf(body)).toEqual(shapeOf(jsonOf(blockOf('docs/sms.md', '{"id"'))))
  // A wrong secret is refused.
  const wrong = text.replace(secret, 'another').replace('https://sms.example.com', `http://127.0.0.1:${port}`)
  await settings(walk, wrong)
  await expect(walk.shell.run('npm run -s hufu -- sms test 13800005223 --json')).rejects.toThrow('401')
})

const signature = by(
  'test/docs/docs.test.ts',
  'shows a body with the signature that its own command computes',
)

export const sms: Script = [
  ['npm run -s hufu -- doctor', command],
  ['[短信 SMS]', printedByConsole],
  ['HUFU_SMS=aliyun', driver],
  ['HUFU_SMS=tencent', driver],
  ['HUFU_SMS=twilio', driver],
  ['HUFU_SMS=http', ownGateway],
  ['x-hufu-timestamp', signature],
  ['{"id"', signature],
  ['import { createHmac', by('test/docs/documents/sms.ts', 'import { createHmac')],
]
