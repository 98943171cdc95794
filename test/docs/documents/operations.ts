// docs/operations.md. test/docs/new-machine.test.ts tests what it does to a whole machine.
import { by, type Script } from './blocks.ts'

const onMachine = by('test/docs/new-machine.test.ts', 'Machine')
const inOrderOn = (needle: string) => by('test/docs/new-machine.test.ts', needle)
const rights = by('test/operations/doctor-trials.test.ts', 'the rights of the page are enough')
const sqlite = by('test/operations/operations.test.ts', "{ heading: 'SQLite'")
const mysql = by('test/operations/operations.test.ts', "{ heading: 'MySQL and MariaDB'")
const postgres = by('test/operations/operations.test.ts', "{ heading: 'PostgreSQL'")
const afterwards = by('test/operations/operations.test.ts', "commandsUnder('After a restore')")

export const operations: Script = [
  ['npm ci && npm pack', onMachine, inOrderOn("'npm ci && npm pack")],
  ['useradd', inOrderOn("'useradd")],
  ['install -m 600 /dev/stdin /etc/hufu/env', inOrderOn("'install -m 600")],
  ['install -m 755 /dev/stdin /usr/local/sbin/hufu', inOrderOn("'install -m 755")],
  ['hufu doctor', inOrderOn("'hufu doctor")],
  ['CREATE DATABASE hufu', rights],
  ['CREATE USER hufu_owner', rights],
  ['ALTER DEFAULT PRIVILEGES', rights],
  ['cp /opt/hufu/current/node_modules/hufu/deploy/hufu@.service', inOrderOn("deploy/hufu@.service'")],
  ['cp /opt/hufu/current/node_modules/hufu/deploy/nginx.conf', inOrderOn("deploy/nginx.conf'")],
  ['for port in 5001 5002', inOrderOn("'for port in")],
  ['npm install --prefix /opt/hufu/0.2.0', inOrderOn("'npm install --prefix")],
  ['sqlite3 /var/lib/hufu/data/hufu.db', sqlite],
  ['BACKUP=/var/backups/hufu/hufu-2026-11-22T030000.db', sqlite],
  ['mariadb-dump', mysql],
  ['BACKUP=/var/backups/hufu/hufu-2026-11-22T030000.sql', mysql],
  ['pg_dump', postgres],
  ['BACKUP=/var/backups/hufu/hufu-2026-11-22T030000.dump', postgres],
  ['hufu sessions end --all --yes', afterwards],
]
