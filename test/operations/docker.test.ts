// The Dockerfile: its instructions, and its steps run without Docker up to a server that is healthy and ends
// in order.
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { settingRows } from '../../src/settings/table.ts'
import { whenProcessEnds } from '../support/services/ending.ts'
import { createFolder, removeFolder } from '../support/services/folders.ts'
import { freePort } from '../support/services/ports.ts'
import { type Stage, takeSteps } from './docker-stages.ts'
import { type Instruction, isInContext, readDockerfile, readPairs } from './dockerfile.ts'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const dockerignore = read('.dockerignore')
const steps = readDockerfile(read('Dockerfile'))
const inPackage: {
  devDependencies: Record<string, string>
  dependencies: object
  scripts: Record<string, string>
} = JSON.parse(read('package.json'))

const all = (name: Instruction['name'], of: readonly Instruction[] = steps) =>
  of.filter((step) => step.name === name)
const lastStage = steps.slice(steps.findLastIndex(({ name }) => name === 'FROM'))
/** The one instruction of this name in the last stage. */
const only = (name: Instruction['name']): Instruction => {
  const [step = expect.fail(`no ${name}`), ...more] = all(name, lastStage)
  expect(more).toEqual([])
  return step
}

describe('the Dockerfile', () => {
  test('has several stages, all on the slim image of the Node that package.json pins', () => {
    const { NODE_IMAGE } = readPairs(steps[0]?.text ?? '')
    expect(steps[0]?.name).toBe('ARG')
    expect(NODE_IMAGE).toMatch(new RegExp(`^node:${inPackage.devDependencies.node}-[a-z]+-slim$`))
    const images = all('FROM').map(({ text }) => text.replace(/ AS \w+$/, ''))
    expect(images.length).toBeGreaterThan(1)
    for (const image of images) expect(image).toBe(`\${NODE_IMAGE}`)
  })

  test('starts node itself as a user that is not root, and stops it with SIGTERM', () => {
    expect(only('USER').text).toMatch(/^[1-9]\d*:[1-9]\d*$/)
    expect(lastStage.indexOf(only('USER'))).toBeGreaterThan(
      lastStage.findLastIndex(({ name }) => name === 'RUN'),
    )
    expect(only('ENTRYPOINT').words).toEqual(['node', '/app/dist/main.js'])
    expect(only('CMD').words).toEqual(['serve'])
    expect(only('STOPSIGNAL').text).toBe('SIGTERM')
    expect(only('HEALTHCHECK').words?.[0]).toBe('node')
  })

  test('sets only existing settings, keeps the database in the volume, and exposes the port', () => {
    const environment = Object.assign({}, ...all('ENV', lastStage).map(({ text }) => readPairs(text)))
    const known = ['NODE_ENV', ...settingRows.map(({ name }) => name)]
    expect(known).toEqual(expect.arrayContaining(Object.keys(environment)))
    const [volume = expect.fail('no volume')] = only('VOLUME').words ?? []
    expect(environment.HUFU_DATABASE_URL).toBe(`sqlite:${volume}/hufu.db`)
    expect(only('EXPOSE').text).toBe(environment.HUFU_PORT)
    expect(environment.HUFU_PORT).toBe(settingRows.find(({ name }) => name === 'HUFU_PORT')?.default)
  })

  test.each([
    ['RUM npm ci', 'an unknown instruction'],
    ['COPY --form=build a b', 'a wrong flag form'],
    ['HEALTHCHECK --interval=10s node', 'no CMD'],
    ['RUN a && \\', 'no end'],
    ['CMD ["serve",]', 'JSON'],
  ])('is refused with %s', (line, why) => {
    expect(() => readDockerfile(`FROM node\n${line}\n`)).toThrow(why)
  })
})

test.each([
  'package.json',
  'sdk/package.json',
])('the scripts of %s use no syntax that cmd.exe does not have', (path) => {
  const scripts: Record<string, string> = JSON.parse(read(path)).scripts
  const forShells = /[';`$<|*\\]|(^|&& )(exec|rm|cp|mv|mkdir|export|cd|sh|bash|\w+=|\.\/)|(^|[^&])&([^&]|$)/
  // A text in double quotes is one word of the command.
  const outside = Object.entries(scripts).map(([name, script]) => [name, script.replace(/"[^"$`%]*"/g, '""')])
  expect(outside.length).toBeGreaterThan(3)
  expect(outside.filter(([, script = '']) => forShells.test(script))).toEqual([])
})

test('sends no secret, database, test or module of the folder to the builder', () => {
  const own = [
    '.env',
    'deploy/.env',
    'data/hufu.db',
    'node_modules/a/b.js',
    '.git/config',
    'dist/main.js',
    'key.pem',
  ]
  const tests = ['src/cli/run.test.ts', 'src/timing.test.ts', 'test/v1.test.ts']
  expect([...own, ...tests].filter((file) => isInContext(dockerignore, file))).toEqual([])
  const needed = ['package.json', 'package-lock.json', 'src/main.ts', 'src/cli/run.ts', 'LICENSE']
  expect(needed.filter((file) => !isInContext(dockerignore, file))).toEqual([])
})

describe('the steps of the Dockerfile', () => {
  const isRoot = process.getuid?.() === 0
  let folder: string
  let image: Stage
  /** A clone after `npm ci --omit=dev`. */
  let clone: string
  const { PATH = '', HOME = '' } = process.env
  const withNode24 = [dirname(process.execPath), ...withoutModules(PATH)].join(':')

  beforeAll(async () => {
    // The folder is readable for all, because the server runs as another user.
    folder = createFolder('image', { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 })
    chmodSync(folder, 0o755)
    const context = join(folder, 'context')
    copyContext(context)
    image = await takeSteps(ofThisUser(steps), {
      context,
      folder: join(folder, 'stages'),
      // Packages in the cache of npm are not downloaded again.
      environment: { PATH: withNode24, HOME, npm_config_prefer_offline: 'true' },
      insteadOfRun: linkModules,
    })
    symlinkSync(join(folder, 'stages/dependencies/app/node_modules'), join(context, 'node_modules'))
    clone = context
    linkOrCopy(process.execPath, join(image.root, 'usr/local/bin/node'))
  }, 240_000)

  afterAll(() => removeFolder(folder))

  test('leave the program, its dependencies, and no development tool', () => {
    expect(readdirSync(image.workingFolder).toSorted()).toEqual([
      'LICENSE',
      'dist',
      'node_modules',
      'package.json',
    ])
    for (const name of Object.keys(inPackage.dependencies))
      expect(existsSync(join(image.workingFolder, 'node_modules', name)), name).toBe(true)
    // A dependency of a dependency is there, such as yaml.
    const tools = Object.keys(inPackage.devDependencies).filter((name) => isForDevelopment(name))
    expect(tools).toEqual(expect.arrayContaining(['typescript', 'vitest', 'node']))
    expect(tools.filter((name) => existsSync(join(image.workingFolder, 'node_modules', name)))).toEqual([])
  })

  test('produce a server that is healthy, keeps its data in /data, and ends with 0 on SIGTERM', async () => {
    const environment = {
      ...image.environment,
      PATH: `${join(image.root, 'usr/local/bin')}:/usr/bin:/bin`,
      HUFU_PORT: String(await freePort()),
    }
    const [uid = 0, gid = 0] = image.user.split(':').map(Number)
    const container = { cwd: image.workingFolder, env: environment, ...(isRoot ? { uid, gid } : {}) }
    const isHealthy = async () => (await exitCodeOf(image.healthCheck, container)) === 0
    expect(await isHealthy()).toBe(false)

    const [file = '', ...args] = [...image.entrypoint, ...image.command]
    const server = spawn(file, args, { ...container, stdio: ['ignore', 'pipe', 'pipe'] })
    whenProcessEnds(() => server.kill('SIGKILL'))
    let output = ''
    for (const stream of [server.stdout, server.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk))
    const ended = once(server, 'exit')
    try {
      await expect.poll(isHealthy, { timeout: 60_000, message: output }).toBe(true)
      expect(statSync(join(image.root, 'data/hufu.db')).uid).toBe(isRoot ? uid : process.getuid?.())
      const { stdout } = await execute('hufu', ['accounts', 'list', '--json'], container)
      expect(stdout).toBe('')
      server.kill('SIGTERM')
      expect(await ended, output).toEqual([0, null])
      // The start message names the command of the image and no npm script of a checkout.
      expect(output).not.toContain('npm run')
      expect(await isHealthy()).toBe(false)
    } finally {
      server.kill('SIGKILL')
    }
  })

  test('produce a clone without development tools that runs on the Node of the machine', async () => {
    const inClone = { cwd: clone, env: { PATH: withNode24, HOME } }
    const version = await execute('npm', ['run', '-s', 'hufu', '--', 'accounts', 'list', '--json'], inClone)
    expect(version).toEqual({ stdout: '', stderr: '' })
    expect(existsSync(join(clone, 'data/hufu.db'))).toBe(true)
  })

  test.each([
    'start',
    'hufu',
    'demo',
  ])('give a clone where npm run %s says on an old Node what it needs', async (script) => {
    // An old Node reads no TypeScript, so the check must come before it.
    const old = join(clone, 'old.mjs')
    writeFileSync(old, "Object.defineProperty(process.versions, 'node', { value: '20.20.2' })")
    const NODE_OPTIONS = `--import ${old} --no-experimental-strip-types`
    const [command = '', ...args] = inPackage.scripts[script]?.split(' ') ?? []
    expect(command).toBe('node')
    const inClone = { cwd: clone, env: { PATH: withNode24, HOME, NODE_OPTIONS } }
    const failure = await execute(command, args, inClone).then(
      () => expect.fail('it runs'),
      (error: { code: number; stderr: string }) => error,
    )
    expect(failure.code).toBe(2)
    expect(failure.stderr).toMatch(
      /^Hufu needs Node\.js 24 or newer; this is 20\.20\.2\. .*\nHufu 需要 .*\n$/,
    )
  })

  /** Only root can change the owner of a folder; other users keep it. */
  function ofThisUser(of: readonly Instruction[]): Instruction[] {
    const own = ` -o ${process.getuid?.()} -g ${process.getgid?.()}`
    return of.map((step) => (isRoot ? step : { ...step, text: step.text.replace(/ -o \d+ -g \d+/, own) }))
  }
})

const withoutModules = (path: string) => path.split(':').filter((entry) => !entry.includes('node_modules'))

/** Whether the lock file lists it as a development dependency only. */
const isForDevelopment = (name: string): boolean =>
  JSON.parse(read('package-lock.json')).packages[`node_modules/${name}`].dev === true

/** The files that "docker build" would send. */
function copyContext(context: string): void {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
  })
  for (const file of String(listed)
    .split('\0')
    .filter((name) => name !== '' && isInContext(dockerignore, name))) {
    mkdirSync(dirname(join(context, file)), { recursive: true })
    cpSync(join(root, file), join(context, file))
  }
}

/**
 * test/docs/new-machine.test.ts tests `npm ci` with all tools; here the modules are those of this checkout.
 */
function linkModules(command: string, workingFolder: string): boolean {
  if (!/^npm ci (?!.*--omit)/.test(command)) return false
  symlinkSync(join(root, 'node_modules'), join(workingFolder, 'node_modules'))
  return true
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch {
    // The folder may be on another disk.
    cpSync(from, to)
  }
}

async function exitCodeOf([file = '', ...args]: readonly string[], options: object): Promise<number | null> {
  const child = spawn(file, args, { ...options, stdio: 'ignore' })
  const [code] = await once(child, 'exit')
  return code
}
