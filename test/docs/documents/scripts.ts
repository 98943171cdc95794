// The steps for every block of every document.
import { api, errors } from './api.ts'
import type { Script } from './blocks.ts'
import { browsers, limits, sdk } from './browsers.ts'
import { commandLine } from './command-line.ts'
import { docker } from './docker.ts'
import { operations } from './operations.ts'
import { architecture, contributing } from './others.ts'
import { readme } from './readme.ts'
import { backend, forwardAuth, serviceKeys } from './service-keys.ts'
import { sms } from './sms.ts'
import { tutorial } from './tutorial.ts'
import type { WalkOptions } from './walk.ts'

interface Scripted {
  readonly script: Script
  readonly options?: Omit<WalkOptions, 'servers'>
}

export const scripts: Readonly<Record<string, Scripted>> = {
  'README.md': { script: readme },
  'README.zh-CN.md': { script: readme, options: { language: 'zh_CN.UTF-8' } },
  'docs/api.md': { script: api, options: { behindAnswers: '\\n%{http_code}\\n' } },
  'docs/errors.md': { script: errors },
  'docs/operations.md': { script: operations },
  'docs/docker.md': { script: docker },
  'docs/sms.md': { script: sms },
  'docs/service-keys.md': { script: serviceKeys },
  'docs/backend.md': { script: backend },
  'docs/forward-auth.md': { script: forwardAuth },
  'docs/command-line.md': { script: commandLine },
  'docs/browsers.md': { script: browsers },
  'docs/limits.md': { script: limits },
  'sdk/README.md': { script: sdk },
  'docs/architecture.md': { script: architecture },
  'CONTRIBUTING.md': { script: contributing },
  'docs/tutorial.md': { script: tutorial },
  'docs/tutorial.zh-CN.md': { script: tutorial, options: { language: 'zh_CN.UTF-8' } },
}
