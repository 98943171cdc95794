// The package as apps install it: packed, and run without anything newer than ES2017.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'acorn'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { consumers, installConsumers } from '../scripts/consumers.ts'
import { oldWorld } from './fake-es2017.ts'
import { wireAccount, wireSession } from './fake-network.ts'

const sdk = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'hufu-packed-'))
const unpacked = join(folder, 'package')
const { version }: { version: string } = JSON.parse(readFileSync(join(sdk, 'package.json'), 'utf8'))
const tarball = join(folder, `hufu-sdk-${version}.tgz`)

beforeAll(() => {
  execFileSync('npm', ['pack', '--pack-destination', folder], { cwd: sdk, stdio: 'ignore' })
  execFileSync('tar', ['-xzf', tarball], { cwd: folder })
}, 120_000)

afterAll(() => rmSync(folder, { recursive: true }))

function filesOf(format: 'esm' | 'cjs', ending: string): readonly string[] {
  const names = readdirSync(join(unpacked, 'dist', format)).filter((name) => name.endsWith(ending))
  return names.map((name) => join(unpacked, 'dist', format, name))
}

test('Every shipped file is ES2017 in syntax', () => {
  const files = [...filesOf('esm', '.js'), ...filesOf('cjs', '.js')]
  expect(files.length).toBeGreaterThan(40)
  for (const file of files) {
    const sourceType = file.includes('/esm/') ? 'module' : 'script'
    const check = () => parse(readFileSync(file, 'utf8'), { ecmaVersion: 2017, sourceType })
    expect(check, file).not.toThrow()
  }
  expect(() => parse('({ ...x })', { ecmaVersion: 2017 })).toThrow(SyntaxError)
})

test('No declaration imports a TypeScript source, which the package does not contain', () => {
  const files = [...filesOf('esm', '.d.ts'), ...filesOf('cjs', '.d.ts')]
  const imports = files.flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/from '(.*?)'/g)])
  expect(imports.length).toBeGreaterThan(40)
  expect(imports.filter(([, path = '']) => !/^\.\/[\w-]+\.js$/.test(path))).toEqual([])
})

test('The ES2017 realm has everything of ES2017, and nothing newer', () => {
  const { run, kept } = oldWorld()
  expect(run('typeof Object.entries + typeof "".padStart + typeof Promise.all')).toBe(
    'functionfunctionfunction',
  )
  const newer = [
    'Promise.allSettled',
    'Promise.prototype.finally',
    'Object.fromEntries',
    '[].flatMap',
    '"".trimEnd',
  ]
  for (const path of [
    ...newer,
    '[].at',
    '"".replaceAll',
    '"".matchAll',
    'Object.hasOwn',
    '[].values().map',
  ]) {
    expect(run(`typeof ${path}`), path).toBe('undefined')
  }
  for (const name of [
    'globalThis',
    'AbortController',
    'fetch',
    'URL',
    'WeakRef',
    'BigInt',
    'console',
    'window',
  ]) {
    expect(run(`typeof ${name}`), name).toBe('undefined')
  }
  // These cannot be deleted, and have no effect without newer syntax or methods.
  expect(kept).toMatch(/^(Symbol\.\w+ ?)*$/)
})

/** The responses of this test's server, by path. */
function answerTo(method: string, path: string): readonly [status: number, body: object | null] {
  const session = wireSession('session-1')
  const account = wireAccount
  if (method === 'GET' && path === '/v1/sessions') return [200, { sessions: [session] }]
  if (path === '/v1/codes') return [202, { resend_in: 60, expires_in: 300 }]
  if (path === '/v1/session/rotate') return [200, { token: 'token-2', session }]
  if (method === 'GET' && path === '/v1/session') return [200, { session, account }]
  if (path === '/v1/account/export') return [200, { account, sessions: [], events: [] }]
  if (path === '/v1/account/phone') return [200, account]
  if (path === '/v1/account/password' || path === '/v1/password-resets') return [204, null]
  if (path === '/v1/account/close') return [200, { closes_at: '2026-12-22T00:00:00.000Z' }]
  if (path === '/v1/account' || path === '/v1/account/update') return [200, account]
  if (method === 'POST' && path === '/v1/sessions') {
    return [201, { token: 'token-1', session, account, created: false }]
  }
  return [204, null]
}

const wrongPassword = {
  type: 'urn:hufu:problem:credentials_wrong',
  title: 'The phone number or the password is wrong',
  status: 401,
  code: 'credentials_wrong',
}

/** Runs in the ES2017 realm: a `request` like that of mini-programs, and each method of the client once. */
const walk = `async ({ createClient, requestTransport }, answer, later) => {
  const texts = new Map()
  const request = ({ method, url, success }) => {
    const [statusCode, data] = JSON.parse(answer(method, url))
    later(() => success({ statusCode, data, header: { 'Content-Type': 'application/json' } }))
    return { abort() {} }
  }
  const client = createClient({
    baseUrl: 'https://hufu.test',
    transport: requestTransport(request),
    storage: {
      get: async (key) => texts.has(key) ? texts.get(key) : null,
      set: async (key, text) => void texts.set(key, text),
      remove: async (key) => void texts.delete(key),
    },
  })
  const told = []
  client.onSignedIn(({ session }) => void told.push(session.id))
  client.onSignedOut(({ reason }) => void told.push(reason))
  client.subscribe(async () => { throw new Error('a listener that fails') })()
  const phoneNumber = '12345678901'
  const code = '123456'
  const signIn = () => client.signIn({ phoneNumber, password: '123456' })
  const calls = {
    start: () => client.start(),
    sendCode: () => client.sendCode({ phoneNumber, purpose: 'sign_in' }),
    resetPassword: () => client.resetPassword({ phoneNumber, code, newPassword: 'x' }),
    signIn,
    me: () => Promise.all([client.me(), client.me()]),
    account: () => client.account(),
    devices: () => client.devices(),
    updateAccount: () => client.updateAccount({ nickname: 'x' }),
    setPassword: () => client.setPassword({ newPassword: 'x', code }),
    changePhone: () => client.changePhone({ phoneNumber, code, confirmation: { code } }),
    exportAccount: () => client.exportAccount(),
    rotate: () => Promise.all([client.rotate(), client.me()]),
    endDevice: () => client.endDevice('session-2'),
    endOtherDevices: () => client.endOtherDevices(),
    signOut: () => client.signOut(),
    signOutEverywhere: () => signIn().then(() => client.signOutEverywhere()),
    closeAccount: () => signIn().then(() => client.closeAccount({ code })),
  }
  const failed = []
  for (const name of Object.keys(calls)) await calls[name]().catch((error) => failed.push(name + ': ' + error))
  const state = client.state.is
  const methods = Object.keys(client).filter((name) => !/^(subscribe|on)/.test(name))
  return JSON.stringify({ failed, state, told, unused: methods.filter((name) => !calls[name]) })
}`

test('Each method of the packed client works in an environment without anything newer than ES2017', async () => {
  const world = oldWorld()
  const answer = (method: string, url: string) =>
    JSON.stringify(answerTo(method, url.replace('https://hufu.test', '').replace(/\?.*/, '')))
  const errors: unknown[] = []
  Object.assign(world.context, {
    setTimeout,
    clearTimeout,
    console: { error: (...it: unknown[]) => errors.push(it) },
  })
  const sdk = world.require(unpacked)
  const walked = world.run(walk)
  // The text above is a function that returns a promise of text.
  const result = await (walked as (...parts: unknown[]) => Promise<string>)(sdk, answer, setImmediate)
  expect(JSON.parse(result)).toEqual({
    failed: [],
    state: 'signed_in',
    told: ['session-1', 'signed_out', 'session-1', 'signed_out', 'session-1'],
    unused: [],
  })
  expect(errors).toEqual([])
})

const notInstalled = await installConsumers()

describe.skipIf(notInstalled !== null)('An app that has installed the packed file', () => {
  const app = join(folder, 'app')
  const out = join(folder, 'out')

  /** Runs a Node program in the folder of the app. @returns its output, also where it fails */
  function node(...args: string[]): string {
    // The variables of the test runner must not reach the app.
    const env = { PATH: process.env.PATH, HOME: process.env.HOME }
    try {
      return execFileSync(process.execPath, args, { cwd: app, env, encoding: 'utf8', stdio: 'pipe' })
    } catch (error) {
      // The error of execFileSync has the output of the program, if it could be started.
      const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string }
      return `${message} ${stdout} ${stderr}`
    }
  }

  beforeAll(() => {
    cpSync(join(consumers, 'app'), app, { recursive: true })
    cpSync(join(app, 'types.ts'), join(app, 'types.mts'))
    mkdirSync(out)
    writeFileSync(join(app, 'package.json'), '{ "private": true }')
    const options = ['--offline', '--no-audit', '--no-fund', '--no-package-lock']
    execFileSync('npm', ['install', ...options, tarball], { cwd: app, stdio: 'ignore' })
  }, 120_000)

  test.each([
    ['webpack 4', 'webpack.js'],
    ['Vite', 'vite.mjs'],
    ['Metro', 'metro.js'],
    ['Metro before it read "exports"', 'metro.js', 'main'],
  ])('signs in when %s has built it', async (name, script, ...more) => {
    const file = join(out, `${name.replace(/\W/g, '')}.js`)
    expect(node(join(consumers, script), '.', file, ...more)).toBe('')
    const world = oldWorld()
    const passwords: string[] = []
    const signedIn = new Promise<unknown[]>((done) => {
      // The objects of the app belong to its realm, and so do these texts.
      const answer = (body: string) => {
        const { password } = JSON.parse(body)
        passwords.push(password)
        const [status, json] = password === 'wrong' ? [401, wrongPassword] : answerTo('POST', '/v1/sessions')
        return JSON.stringify({ status, headers: {}, data: JSON.stringify(json) })
      }
      const later = (task: () => void) => void setImmediate(task)
      Object.assign(world.context, { answer, later, setTimeout, clearTimeout })
      Object.assign(world.context, { end: (...facts: unknown[]) => done(facts.map(String)) })
    })
    world.run(`
      var window = Function('return this')()
      var self = window, global = window, globalThis = window
      var platform = {
        baseUrl: 'https://hufu.test',
        request: ({ data, success, fail }) => later(() => {
          const result = JSON.parse(answer(data))
          if (result.status === 200) success(result)
          else fail(result)
        }),
        done: (...facts) => end(...facts),
      }`)
    world.run(readFileSync(file, 'utf8'))
    expect(await signedIn).toEqual(['session-1', 'signed_in'])
    expect(passwords).toEqual(['wrong', 'credentials_wrong'])
  })

  test('works in Jest', () => {
    const printed = node(join(consumers, 'node_modules/jest/bin/jest.js'), '--rootDir', '.')
    // Jest reports to standard error, so a success prints nothing here.
    expect(printed).toBe('')
  })

  test('works in Node, by import and by require', () => {
    const check = `if (typeof createClient({ baseUrl: 'https://h' }).signIn !== 'function') throw new Error('no client')`
    writeFileSync(join(app, 'loads.mjs'), `import { createClient } from '@hufu/sdk'\n${check}`)
    writeFileSync(join(app, 'loads.cjs'), `const { createClient } = require('@hufu/sdk')\n${check}`)
    expect(node('loads.mjs') + node('loads.cjs')).toBe('')
  })

  const bundled = { module: 'esnext', moduleResolution: 'bundler' }
  const node16 = { module: 'node16', moduleResolution: 'node16' }
  test.each([
    ['4.9', { module: 'commonjs', moduleResolution: 'node' }],
    ['4.9', { module: 'esnext', moduleResolution: 'node' }],
    ['4.9', node16],
    ['5.9', { module: 'commonjs', moduleResolution: 'node' }],
    ['5.9', bundled],
    ['5.9', node16],
    ['7.0', { module: 'commonjs' }],
    ['7.0', bundled],
    ['7.0', node16],
  ])('has the types of it in TypeScript %s with %j', (version, modules) => {
    const compilerOptions = {
      ...modules,
      target: 'es2017',
      lib: ['es2017'],
      types: [],
      strict: true,
      noEmit: true,
    }
    // node16 and later support ES modules beside CommonJS.
    const files = modules === node16 ? ['types.ts', 'types.mts'] : ['types.ts']
    writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
    expect(node(join(consumers, `node_modules/typescript-${version}/bin/tsc`), '-p', '.')).toBe('')
  })
})
