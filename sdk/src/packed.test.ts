// The package as apps install it: packed, and run where nothing newer than ES2017 is known.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'acorn'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { oldWorld } from './fake-es2017.ts'
import { wireAccount, wireSession } from './fake-network.ts'

const sdk = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'hufu-packed-'))
const unpacked = join(folder, 'package')

beforeAll(() => {
  execFileSync('npm', ['pack', '--pack-destination', folder], { cwd: sdk, stdio: 'ignore' })
  const [tarball = ''] = readdirSync(folder)
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

test('No declaration imports a TypeScript source, which is not in the package', () => {
  const files = [...filesOf('esm', '.d.ts'), ...filesOf('cjs', '.d.ts')]
  const imports = files.flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/from '(.*?)'/g)])
  expect(imports.length).toBeGreaterThan(40)
  expect(imports.filter(([, path = '']) => !/^\.\/[\w-]+\.js$/.test(path))).toEqual([])
})

test('The old world knows ES2017, and nothing newer', () => {
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
  // These cannot be deleted, and without syntax or methods of the same age they do nothing.
  expect(kept).toMatch(/^(Symbol\.\w+ ?)*$/)
})

/** What the server of this test answers, by path. */
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

/** Runs within the old world: a `request` as mini-programs have it, and each method of the client once. */
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

test('The packed client works, each method of it, where nothing newer than ES2017 is known', async () => {
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
  // The text above is a function that gives a promise of text.
  const result = await (walked as (...parts: unknown[]) => Promise<string>)(sdk, answer, setImmediate)
  expect(JSON.parse(result)).toEqual({
    failed: [],
    state: 'signed_in',
    told: ['session-1', 'signed_out', 'session-1', 'signed_out', 'session-1'],
    unused: [],
  })
  expect(errors).toEqual([])
})
