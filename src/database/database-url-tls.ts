// TLS to a database server, from the options of its URL: those of MySQL, PostgreSQL, their drivers and
// hosting providers.
import { getCACertificates } from 'node:tls'
import { WrongValue } from '../settings/setting.ts'
import { readPem, shown } from '../url-parts.ts'

export interface DatabaseTls {
  /**
   * `require`: encrypted, the server is not authenticated. `verify-ca`: the server has a certificate of an
   * authority.
   */
  readonly mode: 'require' | 'verify-ca' | 'verify-full'
  /** PEM; null: Node's own authorities and those of NODE_EXTRA_CA_CERTS. */
  readonly authority: string | null
  /** PEM of the client certificate; `key` is its key. */
  readonly certificate: string | null
  readonly key: string | null
  /** PostgreSQL 17: TLS from the first byte. */
  readonly direct: boolean
}

type Mode = DatabaseTls['mode'] | 'disable'

/** The options that have been read so far. */
export interface TlsOptions {
  mode: Mode | null
  authority: string | null
  certificate: string | null
  key: string | null
  /** channel_binding=require: no proxy may terminate TLS. */
  needsProof: boolean
  direct: boolean
}

/** The options that choose a mode, and their values, which are compared without case, "-" and "_". */
const modes: Readonly<Record<string, Readonly<Record<string, Mode>>>> = {
  // libpq, mysql, Connector/J, MariaDB's connectors, node-postgres.
  sslmode: {
    disable: 'disable',
    disabled: 'disable',
    require: 'require',
    required: 'require',
    trust: 'require',
    noverify: 'require',
    verifyca: 'verify-ca',
    verifyfull: 'verify-full',
    verifyidentity: 'verify-full',
  },
  ssl: { true: 'verify-full', '1': 'verify-full', false: 'disable', '0': 'disable', noverify: 'require' },
  // Connector/J before 8.
  usessl: { true: 'require', false: 'disable' },
  requiressl: { true: 'require' },
  verifyservercertificate: { true: 'verify-ca', false: 'require' },
  // Prisma, PlanetScale, TiDB.
  sslaccept: { strict: 'verify-full', acceptinvalidcerts: 'require' },
  // Go.
  tls: { true: 'verify-full', skipverify: 'require', false: 'disable' },
}

const onlyMysql = new Set(['usessl', 'requiressl', 'verifyservercertificate', 'tls'])
const strength: readonly (Mode | null)[] = [null, 'disable', 'require', 'verify-ca', 'verify-full']

/** Reads one option into `tls`. @returns whether it is a TLS option @throws WrongValue */
export function tlsOptionOf(
  kind: 'mysql' | 'postgres',
  tls: TlsOptions,
  key: string,
  name: string,
  value: string,
): boolean {
  if (modes[key] && !(kind === 'postgres' && onlyMysql.has(key))) setMode(tls, name, modeOf(key, name, value))
  else if (['sslca', 'sslrootcert', 'serversslcert'].includes(key))
    tls.authority = kind === 'postgres' && value === 'system' ? systemAuthorities() : readPem(name, value)
  else if (key === 'sslcert') tls.certificate = readPem(name, value)
  else if (key === 'sslkey') tls.key = readPem(name, value)
  else if (kind === 'postgres' && key === 'channelbinding') tls.needsProof = needsProof(name, value)
  else if (kind === 'postgres' && key === 'sslnegotiation') tls.direct = isDirect(name, value)
  else return false
  return true
}

function modeOf(key: string, name: string, value: string): Mode {
  const word = value.toLowerCase().replaceAll(/[-_]/g, '')
  if (/^(allow|prefer|preferred)$/.test(word)) {
    throw new WrongValue(
      `的选项 ${shown(name)} 可能悄悄退回明文：请写 verify-full、verify-ca、require 或 disable`,
      `has the option ${shown(name)}, which may fall back to plaintext: write verify-full, verify-ca, require or disable`,
    )
  }
  // The form of Node's drivers, which PlanetScale shows.
  const [, rejects] = /^\{\s*(?:"rejectunauthorized"\s*:\s*(true|false))?\s*\}$/.exec(word) ?? []
  const known =
    modes[key]?.[word] ?? (key === 'ssl' && /^\{/.test(word) ? jsonMode(word, rejects) : undefined)
  if (known) return known
  throw new WrongValue(
    `的选项 ${shown(name)} 的值无法识别：请写 verify-full、verify-ca、require 或 disable`,
    `has the option ${shown(name)} with a value that is not known: write ssl-mode=verify-full, verify-ca, require or disable`,
  )
}

function jsonMode(word: string, rejects: string | undefined): Mode | undefined {
  if (rejects === 'false') return 'require'
  return rejects === 'true' || /^\{\s*\}$/.test(word) ? 'verify-full' : undefined
}

/**
 * Two options may both choose a mode; the stronger one applies, as in
 * `useSSL=true&verifyServerCertificate=true`.
 */
function setMode(tls: TlsOptions, name: string, mode: Mode): void {
  if (tls.mode !== null && (tls.mode === 'disable') !== (mode === 'disable')) {
    throw new WrongValue(
      `的选项 ${shown(name)} 与另一个 TLS 选项矛盾`,
      `has the option ${shown(name)}, which contradicts another option of TLS`,
    )
  }
  if (strength.indexOf(mode) >= strength.indexOf(tls.mode)) tls.mode = mode
}

function needsProof(name: string, value: string): boolean {
  if (/^(disable|prefer|require)$/.test(value)) return value === 'require'
  throw new WrongValue(
    `的选项 ${shown(name)} 必须是 require、prefer 或 disable`,
    `has the option ${shown(name)}, which must be require, prefer or disable`,
  )
}

function isDirect(name: string, value: string): boolean {
  if (/^(postgres|direct)$/.test(value)) return value === 'direct'
  throw new WrongValue(
    `的选项 ${shown(name)} 必须是 postgres 或 direct`,
    `has the option ${shown(name)}, which must be postgres or direct`,
  )
}

function systemAuthorities(): string {
  return [...getCACertificates('default'), ...getCACertificates('system')].join('\n')
}

/**
 * The meaning of all options together. An authority without a mode verifies the server; libpq and mysql would
 * connect without TLS if the server had none.
 * @throws WrongValue
 */
export function databaseTls(options: TlsOptions): DatabaseTls | null {
  const { authority, certificate, key, needsProof, direct } = options
  const isAsked = authority !== null || certificate !== null || key !== null || needsProof || direct
  const mode = options.mode ?? (isAsked ? 'verify-full' : 'disable')
  if (mode === 'disable' && isAsked)
    throw new WrongValue(
      '关闭了 TLS，却又写了 TLS 的选项',
      'turns TLS off and has options of TLS: take one of the two out',
    )
  if ((certificate === null) !== (key === null))
    throw new WrongValue(
      '的客户端证书和私钥须同时设置',
      'must name a certificate of the client and its key together',
    )
  if (mode === 'disable') return null
  return { mode: strictMode(mode, options), authority, certificate, key, direct }
}

/**
 * As in libpq, `require` with an authority verifies the certificate. Channel binding protects against a proxy
 * in between; the driver cannot enforce it, and a verified host name gives the same protection.
 */
function strictMode(mode: DatabaseTls['mode'], { authority, needsProof }: TlsOptions): DatabaseTls['mode'] {
  if (needsProof) return 'verify-full'
  return mode === 'require' && authority !== null ? 'verify-ca' : mode
}
