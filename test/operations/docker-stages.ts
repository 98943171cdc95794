// Runs the steps of the Dockerfile without Docker: each stage is a folder, which contains the paths of the
// image.
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { type Instruction, readPairs } from './dockerfile.ts'

const execute = promisify(execFile)

/** A stage after its last step; for the last stage, the file system that a container starts with. */
export interface Stage {
  /** The folder that represents `/`. */
  readonly root: string
  readonly base: string
  readonly environment: Record<string, string>
  workingFolder: string
  user: string
  entrypoint: readonly string[]
  command: readonly string[]
  healthCheck: readonly string[]
}

export interface Surroundings {
  /** The folder with the files that .dockerignore lets through. */
  readonly context: string
  /** The folder for the stages. */
  readonly folder: string
  /** The environment of RUN, in addition to that of the stage. */
  readonly environment: Readonly<Record<string, string>>
  /** Replaces a RUN step by an equivalent one; true if it did. */
  readonly insteadOfRun: (command: string, workingFolder: string) => boolean
}

/** Runs all steps and returns the last stage; throws where a step fails. */
export async function takeSteps(steps: readonly Instruction[], surroundings: Surroundings): Promise<Stage> {
  const stages = new Map<string, Stage>()
  const args: Record<string, string> = {}
  let stage: Stage | null = null
  for (const step of steps) {
    if (step.name === 'FROM') {
      const [, image = '', name = `${stages.size}`] = /^(\S+)(?: AS (\w+))?$/.exec(step.text) ?? []
      stage = emptyStage(join(surroundings.folder, name), withArgs(image, args))
      stages.set(name, stage)
    } else if (stage === null) {
      if (step.name !== 'ARG') throw new Error(`Dockerfile:${step.line}: ${step.name} before the first FROM`)
      Object.assign(args, readPairs(step.text))
    } else {
      await take(step, stage, { ...surroundings, stages })
    }
  }
  if (stage === null) throw new Error('no FROM')
  return stage
}

const withArgs = (text: string, args: Record<string, string>): string =>
  text.replace(/\$\{(\w+)\}/g, (_, name: string) => {
    if (args[name] === undefined) throw new Error(`no ARG ${name} before FROM`)
    return args[name]
  })

function emptyStage(root: string, base: string): Stage {
  mkdirSync(join(root, 'usr/local/bin'), { recursive: true })
  const nothing = { environment: {}, entrypoint: [], command: [], healthCheck: [] }
  return { root, base, workingFolder: root, user: 'root', ...nothing }
}

/** A text of the image with its absolute paths mapped into the folder of the stage. */
const below = (root: string, text: string): string =>
  text.replace(/(?<![\w.}])\/(?=app\b|data\b|usr\/local\b)/g, `${root}/`)

type Inside = Surroundings & { readonly stages: ReadonlyMap<string, Stage> }

async function take(step: Instruction, stage: Stage, inside: Inside): Promise<void> {
  const words = (step.words ?? []).map((word) => below(stage.root, word))
  if (step.name === 'COPY') copy(step, stage, inside)
  else if (step.name === 'RUN') await runStep(step, stage, inside)
  else if (step.name === 'ENV')
    for (const [name, value] of Object.entries(readPairs(step.text)))
      stage.environment[name] = below(stage.root, value)
  else if (step.name === 'WORKDIR') {
    stage.workingFolder = resolve(stage.workingFolder, below(stage.root, step.text))
    mkdirSync(stage.workingFolder, { recursive: true })
  } else if (step.name === 'USER') stage.user = step.text
  else if (step.name === 'ENTRYPOINT') stage.entrypoint = words
  else if (step.name === 'CMD') stage.command = words
  else if (step.name === 'HEALTHCHECK') stage.healthCheck = words
  // ARG without a value, LABEL, VOLUME, EXPOSE and STOPSIGNAL change no file; the tests check them.
}

/**
 * As Docker does: the contents of a folder, a file into a folder that ends in a slash, and no missing file.
 */
function copy({ line, text, flags }: Instruction, stage: Stage, { stages, context }: Inside): void {
  const from = flags.from === undefined ? context : stages.get(flags.from)?.root
  if (from === undefined) throw new Error(`Dockerfile:${line}: no stage ${flags.from}`)
  const paths = text.split(/\s+/)
  const target = paths.pop() ?? ''
  if (paths.length > 1 && !target.endsWith('/')) throw new Error(`Dockerfile:${line}: ${target} is no folder`)
  for (const path of paths) {
    const source = join(from, path)
    if (!existsSync(source))
      throw new Error(`Dockerfile:${line}: ${path} is not in ${flags.from ?? 'the context'}`)
    const place = target.endsWith('/') ? join(target, path) : target
    const to = resolve(stage.workingFolder, below(stage.root, place))
    mkdirSync(dirname(to), { recursive: true })
    cpSync(source, to, { recursive: true, verbatimSymlinks: true })
  }
}

async function runStep({ line, text }: Instruction, stage: Stage, inside: Inside): Promise<void> {
  if (inside.insteadOfRun(text, stage.workingFolder)) return
  const environment = { ...inside.environment, ...stage.environment }
  try {
    await execute('/bin/sh', ['-c', below(stage.root, text)], { cwd: stage.workingFolder, env: environment })
  } catch (error) {
    throw new Error(`Dockerfile:${line} fails`, { cause: error })
  }
}
