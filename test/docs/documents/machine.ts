// A machine for docs/operations.md, with its folders in one folder and free ports; programs that need root
// run as far as possible.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findBinary } from '../../support/services/binaries.ts'
import { whenProcessEnds } from '../../support/services/ending.ts'
import { freePort } from '../../support/services/ports.ts'
import { blockOf } from './blocks.ts'
import { Shell } from './shell.ts'
import { literally } from './shown.ts'

const page = 'docs/operations.md'

export class Machine {
  readonly ports: readonly [number, number]
  readonly #folder: string
  readonly #places: Readonly<Record<string, string>>
  readonly #shell: Shell

  private constructor(folder: string, ports: readonly [number, number], places: Record<string, string>) {
    this.#folder = folder
    this.ports = ports
    this.#places = {
      ...Object.fromEntries(
        ['/opt/hufu', '/etc', '/var', '/usr/local/sbin'].map((place) => [place, join(folder, place)]),
      ),
      '/tmp/hufu-': join(folder, 'hufu-'),
      // The files belong to the user of this test.
      ' -o hufu -g hufu': '',
      ...places,
      '5001': String(ports[0]),
      '5002': String(ports[1]),
    }
    for (const place of [
      'bin',
      'run',
      'shell',
      '/etc/systemd/system',
      '/etc/nginx/conf.d',
      '/usr/local/sbin',
    ])
      mkdirSync(join(folder, place), { recursive: true })
    for (const [name, script] of Object.entries(programs(folder))) {
      writeFileSync(join(folder, 'bin', name), `#!/bin/bash\nset -euo pipefail\n${script}\n`)
      chmodSync(join(folder, 'bin', name), 0o755)
    }
    // npm downloads `node@24` from the registry, on some networks through a proxy with a certificate
    // authority of its own.
    const { PATH = '', HOME = '', NODE_EXTRA_CA_CERTS } = process.env
    const own = PATH.split(':').filter((entry) => !entry.includes('node_modules'))
    const environment = {
      PATH: [join(folder, 'bin'), join(folder, '/usr/local/sbin'), ...own].join(':'),
      HOME,
      LANG: 'C.UTF-8',
      ...(NODE_EXTRA_CA_CERTS && { NODE_EXTRA_CA_CERTS }),
    }
    this.#shell = new Shell(folder, join(folder, 'shell'), environment)
    whenProcessEnds(() => this.#end())
  }

  /** A machine in an empty folder; `places` maps paths of the page to paths here. */
  static async make(folder: string, places: Record<string, string>): Promise<Machine> {
    return new Machine(folder, [await freePort(), await freePort()], places)
  }

  /** Runs the block of the page that starts with this text. */
  async run(beginning: string): Promise<string> {
    const { text } = blockOf(page, beginning)
    // In one pass, because the paths of this machine may contain those of the page.
    const known = new RegExp(Object.keys(this.#places).map(literally).join('|'), 'g')
    return await this.#shell.run(text.replaceAll(known, (place) => this.#places[place] ?? place))
  }

  /** The units of systemd, each with its current process id. */
  pids(): Record<string, number> {
    const run = join(this.#folder, 'run')
    const files = existsSync(run) ? readdirSync(run).filter((name) => name.endsWith('.pid')) : []
    return Object.fromEntries(
      files.map((name) => [name.replace('.pid', ''), Number(readFileSync(join(run, name), 'utf8'))]),
    )
  }

  async close(): Promise<void> {
    this.#end()
    await this.#shell.close()
  }

  #end(): void {
    for (const pid of Object.values(this.pids())) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended already.
      }
    }
  }
}

/** Programs that need root or systemd, as far as they can run in a folder. */
function programs(folder: string): Record<string, string> {
  const verify = findBinary(['systemd-analyze'])
  const here = `sed 's#/opt/hufu#${folder}/opt/hufu#g'`
  return {
    useradd: 'test "$*" = "--system --home-dir $HUFU_HOME --shell /usr/sbin/nologin hufu"'.replace(
      '$HUFU_HOME',
      join(folder, '/var/lib/hufu'),
    ),
    // The user of this test is used instead.
    setpriv: 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
    'systemd-analyze':
      verify === null
        ? 'true'
        : `${here} "$3" >${folder}/run/hufu@5001.service
exec ${verify} verify --man=no ${folder}/run/hufu@5001.service`,
    nginx: `test "$*" = -t && test -s ${folder}/etc/nginx/conf.d/hufu.conf`,
    systemctl: `
unit=${folder}/etc/systemd/system/hufu@.service
start() {
  command=$(sed -n 's/^ExecStart=//p' "$unit" | ${here})
  set -a; . ${folder}/etc/hufu/env; set +a
  cd ${folder}/var/lib/hufu
  HUFU_PORT=$1 NODE_ENV=production setsid $command >>${folder}/run/$1.log 2>&1 </dev/null &
  echo $! >${folder}/run/$1.pid
}
stop() {
  pid=$(cat ${folder}/run/$1.pid)
  kill "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}
case "$1" in
  daemon-reload | reload) ;;
  enable) test "$2" = --now; shift 2; for name; do start "\${name#hufu@}"; done ;;
  restart) stop "\${2#hufu@}"; start "\${2#hufu@}" ;;
  *) exit 1 ;;
esac`,
  }
}
