// Refusals of a database that do not pass with time: a wrong password, no such database, no TLS, a pooler
// without transactions.

export interface Refusal {
  readonly zh: string
  readonly en: string
}

const login: Refusal = {
  zh: '数据库拒绝了 HUFU_DATABASE_URL 里的用户名或密码：请更正，或创建这个用户',
  en: 'The database refuses the user name or the password in HUFU_DATABASE_URL: correct them, or create the user',
}
const missing: Refusal = {
  zh: 'HUFU_DATABASE_URL 指定的数据库不存在：请先用 CREATE DATABASE 创建它，见 README',
  en: 'The database that HUFU_DATABASE_URL names does not exist: create it as README.md says, with CREATE DATABASE',
}
// MySQL gives a user without rights the same error whether the database exists or not.
const missingOrNoRights: Refusal = {
  zh: 'HUFU_DATABASE_URL 指定的数据库不存在，或者其中的用户无权使用它：请检查数据库名，或按 README 创建数据库并授权',
  en: 'The database that HUFU_DATABASE_URL names does not exist, or its user may not use it: check the name, or create the database and grant the rights as README.md says',
}
const rights: Refusal = {
  zh: '数据库用户没有所需的权限：请按 docs/operations.zh-CN.md 授权',
  en: 'The user of the database lacks a right: grant it as docs/operations.md says',
}
const tls: Refusal = {
  zh: 'HUFU_DATABASE_URL 要求 TLS，但连接没有建立：请检查证书和 sslmode（MySQL：ssl-mode），见 docs/settings.zh-CN.md',
  en: 'HUFU_DATABASE_URL asks for TLS, which did not come about: check the certificate and sslmode (MySQL: ssl-mode), see docs/settings.md',
}
const pooling: Refusal = {
  zh: 'HUFU_DATABASE_URL 指向的 PgBouncer 使用 pool_mode=statement，它不允许事务：请在 pgbouncer.ini 里改为 transaction 或 session',
  en: 'HUFU_DATABASE_URL leads to a PgBouncer with pool_mode=statement, which forbids transactions: set it to transaction or session in pgbouncer.ini',
}
const sessionMemory: Refusal = {
  zh: '数据库允许每个会话使用的内存太少：请让 max_session_mem_used 保持默认值，至少 16 MiB',
  en: 'The database allows each session too little memory: leave max_session_mem_used at its default, or set it to 16 MiB or more',
}

const refusals: Readonly<Record<string, Refusal>> = {
  ER_ACCESS_DENIED_ERROR: login,
  ER_ACCESS_DENIED_NO_PASSWORD_ERROR: login,
  '28P01': login,
  '28000': login,
  ER_BAD_DB_ERROR: missing,
  '3D000': missing,
  ER_DBACCESS_DENIED_ERROR: missingOrNoRights,
  ER_TABLEACCESS_DENIED_ERROR: rights,
  '42501': rights,
  HANDSHAKE_NO_SSL_SUPPORT: tls,
  HANDSHAKE_SSL_ERROR: tls,
}

/**
 * Advice about the refusal; null for any other error. It inspects causes, because a failure to connect
 * carries the refusal as its cause.
 */
export function refusalOf(error: unknown): (Refusal & { readonly why: string }) | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    // One error for each host of the URL.
    if (cause instanceof AggregateError) return cause.errors.map(refusalOf).find((found) => found) ?? null
    const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
    const refusal = refusals[code] ?? refusalByText(cause.message)
    if (refusal) return { ...refusal, why: cause.message }
  }
  return null
}

/**
 * The driver's refusal has no code, and those of PgBouncer and of MariaDB's options have one with many
 * meanings.
 */
function refusalByText(message: string): Refusal | undefined {
  if (message === 'The server does not support SSL connections') return tls
  if (message.includes('--max-session-mem-used=')) return sessionMemory
  return /not allowed in statement pooling mode/.test(message) ? pooling : undefined
}
