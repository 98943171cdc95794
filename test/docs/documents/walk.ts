// A reader who follows a document exactly: a checkout, a terminal, and the processes that were started.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ServerProcess, startProcess } from '../../support/app.ts'
import { getBinary } from '../../support/services/binaries.ts'
import { whenProcessEnds } from '../../support/services/ending.ts'
import { createFolder, removeFolder } from '../../support/services/folders.ts'
import { freePort } from '../../support/services/ports.ts'
import { until } from '../../support/services/until.ts'
import { type Block, root } from './blocks.ts'
import type { Servers } from './servers.ts'
import { Shell } from './shell.ts'

export interface WalkOptions {
  readonly servers: Servers
  readonly language?: 'C.UTF-8' | 'zh_CN.UTF-8'
  /** The text that curl writes after each response; a line end if not given. */
  readonly behindAnswers?: string
}

interface Started {
  readonly child: ChildProcess
  readonly output: () => string
}

export class Walk {
  readonly servers: Servers
  /** A checkout of this project, as far as its programs read it. */
  readonly folder: string
  /** The folder in which the terminal finds programs first. */
  readonly programs: string
  readonly shell: Shell
  /** The port in place of 5001. */
  readonly port: number
  /** The output of the last command; null if it was skipped. */
  printed: string | null = null
  /** Texts of the document and their replacements here. */
  readonly #places: (readonly [from: string, to: string])[]
  readonly #scratch: string
  readonly #environment: Readonly<Record<string, string>>
  readonly #started: Started[] = []
  readonly #closers: (() => unknown)[] = []

  private constructor(
    scratch: string,
    port: number,
    { servers, language = 'C.UTF-8', behindAnswers = '\\n' }: WalkOptions,
  ) {
    this.servers = servers
    this.port = port
    this.#scratch = scratch
    this.folder = join(scratch, 'home', 'hufu')
    this.programs = join(scratch, 'bin')
    for (const folder of [this.folder, this.programs, join(scratch, 'shell')])
      mkdirSync(folder, { recursive: true })
    for (const name of ['package.json', 'src', 'sdk', 'node_modules'])
      symlinkSync(join(root, name), join(this.folder, name))
    writeFileSync(join(scratch, 'home', '.curlrc'), `write-out = "${behindAnswers}"\n`)
    const { PATH = '' } = process.env
    this.#environment = {
      PATH: `${this.programs}:${PATH}`,
      HOME: join(scratch, 'home'),
      LANG: language,
      HUFU_PORT: String(port),
    }
    this.#places = [
      ['127.0.0.1:5001', `127.0.0.1:${port}`],
      ['/home/you/hufu', this.folder],
      // The server names its port if it is not the default.
      ['\n  npm run demo\n', `\n  npm run demo -- --url http://127.0.0.1:${port}\n`],
    ]
    this.shell = new Shell(this.folder, join(scratch, 'shell'), this.#environment)
  }

  static async begin(options: WalkOptions): Promise<Walk> {
    return new Walk(realpathSync(createFolder('walk')), await freePort(), options)
  }

  /** From now on, replaces a text of the document. */
  put(to: string, inPlaceOf: string): void {
    this.#places.push([inPlaceOf, to])
  }

  /** A text of the document with its replacements. */
  here(text: string): string {
    return this.#places.reduce((all, [from, to]) => all.replaceAll(from, to), text)
  }

  /** Adds a program to the terminal, which takes precedence over an installed one. */
  program(name: string, script: string): void {
    const file = join(this.programs, name)
    writeFileSync(file, `#!/bin/bash\n${script}\n`)
    chmodSync(file, 0o755)
  }

  /** The path of a program, except for those that `program` has added. */
  installed(name: string): string {
    return getBinary([name], name)
  }

  /** Runs commands of the document, and keeps their output. */
  async run(text: string): Promise<string> {
    this.printed = await this.shell.run(this.here(text))
    return this.printed
  }

  /** Runs a command that does not end, such as `npm start`, until it prints that it listens. */
  async start(text: string): Promise<void> {
    const child = spawn('bash', ['-c', this.here(text)], {
      cwd: this.folder,
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      // In a process group of its own, so that npm and the server under it end together.
      detached: true,
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk))
    this.#started.push({ child, output: () => output })
    whenProcessEnds(() => endGroup(child, 'SIGKILL'))
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`${text} ended with ${child.exitCode}: ${output}`)
      return /Hufu 虎符 \S+ {2}http:\S+\n/.test(output)
    })
    this.printed = this.terminal()
  }

  /** The output of the servers so far, without log lines and lines of npm. */
  terminal(): string {
    const lines = this.#started.flatMap(({ output }) => output().split('\n'))
    return lines.filter((line) => !/^[{>]/.test(line)).join('\n')
  }

  /** The next code that is sent to a number, such as `5223`, after `ask`. */
  async codeTo(lastDigits: string, ask: () => Promise<unknown>): Promise<string> {
    const before = this.#codesTo(lastDigits).length
    await ask()
    await until(async () => this.#codesTo(lastDigits).length > before)
    return this.#codesTo(lastDigits).at(-1) ?? ''
  }

  /** The last code that was sent to a number, such as `5223`; waits for the first. */
  async lastCodeTo(lastDigits: string): Promise<string> {
    await until(async () => this.#codesTo(lastDigits).length > 0)
    return this.#codesTo(lastDigits).at(-1) ?? ''
  }

  #codesTo(lastDigits: string): string[] {
    const line = new RegExp(`\\*${lastDigits} .*?(?<!\\d)(\\d{6})(?!\\d)`, 'g')
    return [...this.terminal().matchAll(line)].map(([, code = '']) => code)
  }

  /** Ends what `start` has started. */
  async stop(): Promise<void> {
    for (const { child } of this.#started.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      endGroup(child, 'SIGTERM')
      await once(child, 'exit')
    }
  }

  /**
   * A server without npm, for documents that begin with a running one; it is at the address of the document.
   */
  async serve(environment: Record<string, string>): Promise<ServerProcess> {
    const server = await startProcess(
      { ...environment, HUFU_PORT: String(this.port), HUFU_LIMITS: 'off' },
      { cwd: this.folder },
    )
    this.#started.push(server)
    return server
  }

  /** Runs this at the end of the walk. */
  afterwards(close: () => unknown): void {
    this.#closers.push(close)
  }

  async close(): Promise<void> {
    await this.stop()
    for (const close of this.#closers.reverse()) await close()
    await this.shell.close()
    removeFolder(this.#scratch)
  }
}

function endGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    // The process of `serve`, which is in this group.
    process.kill(child.spawnfile === 'bash' ? -(child.pid ?? 0) : (child.pid ?? 0), signal)
  } catch {
    // It has ended already.
  }
}

/** The JSON of a block; throws if it is none. */
export const jsonOf = (block: Block): unknown => JSON.parse(block.text)
