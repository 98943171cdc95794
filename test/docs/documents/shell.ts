// A terminal that stays open between the blocks of a document: variables of one block are set in the next.
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { whenProcessEnds } from '../../support/services/ending.ts'

/** The timeout of one block, on a machine that is busy with other tests. */
const deadlineMs = 240_000

export class Shell {
  readonly #bash: ChildProcess
  readonly #scratch: string
  readonly #ended: Promise<number | null>
  #count = 0
  #output = ''
  #onOutput = () => {}

  /** Opens bash in a folder. `scratch` is a folder for the files of the shell itself. */
  constructor(cwd: string, scratch: string, environment: Readonly<Record<string, string>>) {
    this.#scratch = scratch
    this.#bash = spawn('bash', ['--noprofile', '--norc'], {
      cwd,
      env: environment,
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    this.#ended = new Promise((resolve) => this.#bash.once('close', resolve))
    this.#bash.stdin?.on('error', () => {})
    this.#bash.stdout?.on('data', (chunk: Buffer) => {
      this.#output += chunk
      this.#onOutput()
    })
    whenProcessEnds(() => void this.#bash.kill('SIGKILL'))
  }

  /** Runs a block, and returns its standard output; throws where one of its commands fails. */
  async run(block: string): Promise<string> {
    const file = join(this.#scratch, `block-${++this.#count}.sh`)
    writeFileSync(file, block)
    const done = `done-${this.#count}`
    const finished = new Promise<'done'>((resolve) => {
      this.#onOutput = () => this.#output.includes(`${done}\n`) && resolve('done')
    })
    const timer = setTimeout(() => this.#bash.kill('SIGKILL'), deadlineMs)
    const source = `. '${file}' >'${file}.out' 2>'${file}.err' </dev/null`
    this.#bash.stdin?.write(`set -euo pipefail; ${source}; set +euo pipefail; echo ${done}\n`)
    const outcome = await Promise.race([finished, this.#ended])
    clearTimeout(timer)
    const printed = readFileSync(`${file}.out`, 'utf8')
    if (outcome === 'done') return printed
    const errors = readFileSync(`${file}.err`, 'utf8')
    throw new Error(`the shell ended with ${outcome} in\n${block}\n${printed}${errors}`)
  }

  async close(): Promise<void> {
    this.#bash.stdin?.end()
    await this.#ended
  }
}
