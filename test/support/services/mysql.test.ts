// Recognises the mysqld of MySQL: the tests run on it, or report why there is none.
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createFolder, removeFolder } from './folders.ts'
import { findMysql } from './mysql.ts'

/** A program with this version text. */
function programThatSays(version: string): string {
  const folder = createFolder('mysqld')
  onTestFinished(() => removeFolder(folder))
  const file = join(folder, 'mysqld')
  writeFileSync(file, `#!/bin/sh\necho "${version}"\n`)
  chmodSync(file, 0o755)
  return file
}

test.each([
  '/usr/sbin/mysqld  Ver 8.0.43 for Linux on x86_64 (MySQL Community Server - GPL)',
  '/usr/sbin/mysqld  Ver 8.4.6 for Linux on x86_64 (MySQL Community Server - GPL)',
  '/usr/sbin/mysqld  Ver 9.4.0 for Linux on aarch64 (Source distribution)',
])('%s is used', (version) => {
  const file = programThatSays(version)
  expect(findMysql(file)).toEqual({ file, skipped: null })
})

test.each([
  ['mysqld  Ver 10.11.14-MariaDB-0+deb12u2 for debian-linux-gnu on x86_64 (Debian 12)', 'is MariaDB'],
  ['mysqld  Ver 5.7.44 for Linux on x86_64 (MySQL Community Server (GPL))', 'is older than MySQL 8'],
])('%s is not, and the reason is reported', (version, reason) => {
  const { file, skipped } = findMysql(programThatSays(version))
  expect([file, skipped]).toEqual([null, expect.stringContaining(reason)])
})

test('without a mysqld the reason is reported', () => {
  expect(findMysql(null)).toEqual({ file: null, skipped: expect.stringContaining('there is no mysqld') })
  const absent = '/nowhere/mysqld'
  expect(findMysql(absent)).toEqual({ file: null, skipped: expect.stringContaining('ENOENT') })
})
