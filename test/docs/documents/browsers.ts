// docs/browsers.md, docs/limits.md and sdk/README.md: proxies in front of Hufu, and its callers.
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect } from 'vitest'
import { createViteServer } from 'vitest/node'
import { startNginxWith } from '../../support/services/nginx.ts'
import { freePort } from '../../support/services/ports.ts'
import { serveExamples } from './api.ts'
import { type Block, by, notRun, root, runs, type Script } from './blocks.ts'
import type { Walk } from './walk.ts'

const serves = runs(async (walk) => void (await serveExamples(walk)))

/** The folder of an app that can import packages of this project. */
function appFolder(walk: Walk, name: string): string {
  const folder = join(walk.folder, name)
  mkdirSync(folder)
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

/** Vite with the page's file proxies /v1 to Hufu. */
const vite = runs(async (walk, { text, line }) => {
  const folder = appFolder(walk, `vite-${line}`)
  const configFile = join(folder, 'vite.config.ts')
  writeFileSync(configFile, walk.here(text))
  const port = await freePort()
  const server = await createViteServer({
    root: folder,
    configFile,
    logLevel: 'silent',
    server: { port, host: '127.0.0.1', ws: false, watch: null },
  })
  await server.listen()
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/v1/session`)
    expect(await answer.json()).toMatchObject({ code: 'token_missing' })
  } finally {
    await server.close()
  }
})

/** nginx with the block in its `server` passes requests and the client's address on to Hufu. */
async function throughNginx(walk: Walk, block: string): Promise<void> {
  const port = await freePort()
  const server = `server {\n listen 127.0.0.1:${port};\n ${walk.here(block)}\n}\n`
  const nginx = await startNginxWith(server, port)
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/v1/session`)
    expect(await answer.json()).toMatchObject({ code: 'token_missing' })
  } finally {
    await nginx.stop()
  }
}

const proxied = runs((walk, { text }) => throughNginx(walk, text), 'nginx')
const proxiedToAnotherMachine = runs(
  (walk, { text }) => throughNginx(walk, text.replace('10.0.0.9:5001', '127.0.0.1:5001')),
  'nginx',
)

/** A server with this line in its `.env` allows these origins. */
const origins = runs(async (walk, { text }) => {
  await walk.stop()
  writeFileSync(join(walk.folder, '.env'), text)
  await serveExamples(walk)
  const [, list = ''] = /='(.*)'/.exec(text) ?? []
  for (const origin of [...list.split(','), 'https://evil.test']) {
    const answer = await fetch(walk.here('http://127.0.0.1:5001/v1/session'), { headers: { origin } })
    const allowed = answer.headers.get('access-control-allow-origin')
    expect(allowed).toBe(origin === 'https://evil.test' ? null : origin)
  }
})

/** The main process of the page, with a fake Electron that records its arguments. */
const electron = runs(async (walk, { text }) => {
  const folder = join(walk.folder, 'electron')
  mkdirSync(join(folder, 'dist'), { recursive: true })
  mkdirSync(join(folder, 'node_modules', 'electron'), { recursive: true })
  writeFileSync(join(folder, 'dist', 'index.html'), 'the page')
  writeFileSync(join(folder, 'secret.txt'), 'a secret')
  writeFileSync(
    join(folder, 'node_modules', 'electron', 'index.mjs'),
    `import { readFile } from 'node:fs/promises'
     export const app = { whenReady: async () => {} }
     export const net = { fetch: async (url) => new Response(await readFile(new URL(url))) }
     export class BrowserWindow { loadURL(url) { recorded.loaded = url } }
     export const recorded = {}
     export const protocol = {
       registerSchemesAsPrivileged: (schemes) => { recorded.schemes = schemes },
       handle: (scheme, answer) => { recorded.answer = answer },
     }`,
  )
  const manifest = '{"name":"electron","type":"module","exports":"./index.mjs"}'
  writeFileSync(join(folder, 'node_modules', 'electron', 'package.json'), manifest)
  writeFileSync(join(folder, 'main.mjs'), text)
  const pages = [
    'app://bundle/index.html',
    'app://bundle/..%2Fsecret.txt',
    'app://bundle/x/..%2f..%2Fsecret.txt',
  ]
  writeFileSync(
    join(folder, 'try.mjs'),
    `import './main.mjs'
     import { recorded } from 'electron'
     const answers = []
     for (const url of ${JSON.stringify(pages)}) {
       answers.push((await recorded.answer({ url })).status)
     }
     console.log(JSON.stringify({ loaded: recorded.loaded, answers }))`,
  )
  expect(JSON.parse(await walk.shell.run(`node ${join(folder, 'try.mjs')}`))).toEqual({
    loaded: 'app://bundle/index.html',
    answers: [200, 404, 404],
  })
})

const inNginx = by('test/api/cross-origin.test.ts', "'nginx with what docs/browsers.md adds'")

export const browsers: Script = [
  ['import { defineConfig }', serves, vite],
  ['location /v1/ {', inNginx],
  ['HUFU_ALLOWED_ORIGINS=', origins],
  ["import path from 'node:path'", electron],
  ['map "$upstream', inNginx],
  ['add_header', inNginx],
]

export const limits: Script = [['# on 10.0.0.5', serves, proxiedToAnotherMachine]]

/** An example runs against a server, with the server's numbers and codes. */
const example = runs(async (walk, block) => {
  const file = join(walk.folder, `example-${block.line}.ts`)
  const client = pathToFileURL(join(root, 'sdk', 'src', 'client.ts')).href
  const text = walk.here(block.text.replaceAll('https://accounts.example.com', 'http://127.0.0.1:5001'))
  writeFileSync(file, text.replaceAll("'@hufu/sdk'", `'${client}'`))
  expect(existsSync(file)).toBe(true)
  walk.printed = await walk.shell.run(`node ${file}`)
})

const printed = (...words: string[]) =>
  runs((walk, _block: Block) => {
    for (const word of words) expect(walk.printed).toContain(word)
  })

const compiled = by('sdk/src/readme.test.ts', 'Every example compiles')

export const sdk: Script = [
  ['npm ci && npm pack -w sdk', by('sdk/src/packed.test.ts', "'npm', ['pack'")],
  ['npm install ../hufu/hufu-sdk', by('sdk/src/packed.test.ts', "'npm', ['install'")],
  [
    "import { createClient, HufuError } from '@hufu/sdk'",
    compiled,
    serves,
    example,
    printed('测试用户1', 'signed_out'),
  ],
  ['import { createClient, secureStorage }', compiled],
  ['import { createClient, HufuError, requestTransport }', compiled],
  ['import type { RandomBytes }', compiled],
  ['import { createClient, webStorage }', compiled],
  ['export default {', vite],
  ['location /v1/ {', proxied],
  ["import { createClient } from '@hufu/sdk'", compiled, example, printed('Please sign in')],
  ['unknown', notRun('a drawing of the states; sdk/src/session-client.test.ts goes through them')],
  // A list of calls, each of which needs a code of its own.
  ['import { countdown, createClient', compiled, by('test/api/sdk.test.ts', 'closeAccount')],
  ["import { createClient, HufuError } from '@hufu/sdk'", compiled, example, printed('秒后可重新发送')],
]
