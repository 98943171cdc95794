// The meanings of each database's error codes. docs/operations.md has the same lists in words.
//
// Sources: the server errors of MySQL 8.4 and MariaDB 11, appendix A of PostgreSQL 17, SQLite's result codes,
// and the errors of Node and of both drivers. An error that is not listed counts as a bug of this program.

/**
 * Numbers of MySQL and MariaDB: the drivers' names for them differ between the two servers, and some have no
 * name.
 */
export const mysqlErrors = {
  unique: new Set([
    1062, // ER_DUP_ENTRY
    1586, // ER_DUP_ENTRY_WITH_KEY_NAME
  ]),
  lostRace: new Set([
    1020, // ER_CHECKREAD: the record has changed since it was read (innodb_snapshot_isolation)
    1205, // ER_LOCK_WAIT_TIMEOUT
    1213, // ER_LOCK_DEADLOCK, and a transaction that a Galera node refused
    1297, // ER_GET_TEMPORARY_ERRMSG
    1412, // ER_TABLE_DEF_CHANGED: a migration ran in between
    1614, // ER_XA_RBDEADLOCK
    1615, // ER_NEED_REPREPARE
    1689, // ER_LOCK_ABORTED
    3058, // ER_USER_LOCK_DEADLOCK
    3101, // ER_TRANSACTION_ROLLBACK_DURING_COMMIT: another member of a replication group was first (MySQL)
    3572, // ER_LOCK_NOWAIT
  ]),
  readOnly: new Set([
    1036, // ER_OPEN_AS_READONLY
    1290, // ER_OPTION_PREVENTS_STATEMENT: read_only, super_read_only
    1792, // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
    1836, // ER_READ_ONLY_MODE
    1874, // ER_INNODB_READ_ONLY
  ]),
  /** With `readOnly`: the server refuses every user, and another server may have taken over. */
  wrongServer: new Set([
    1047, // ER_UNKNOWN_COM_ERROR: a Galera node that is not ready
    3032, // ER_SERVER_OFFLINE_MODE
    3100, // ER_RUN_HOOK_ERROR: a replication group without a majority (MySQL)
    3168, // ER_SERVER_ISNT_AVAILABLE
  ]),
  /** The server closes this connection, or has done so. */
  connectionEnds: new Set([
    1053, // ER_SERVER_SHUTDOWN
    1077, // ER_NORMAL_SHUTDOWN
    1079, // ER_SHUTDOWN_COMPLETE
    1080, // ER_FORCING_CLOSE
    1152, // ER_ABORTING_CONNECTION
    1158, // ER_NET_READ_ERROR
    1159, // ER_NET_READ_INTERRUPTED
    1160, // ER_NET_ERROR_ON_WRITE
    1161, // ER_NET_WRITE_INTERRUPTED
    1184, // ER_NEW_ABORTING_CONNECTION
    1927, // ER_CONNECTION_KILLED (MariaDB)
    3169, // ER_SESSION_WAS_KILLED
    4031, // ER_CLIENT_INTERACTION_TIMEOUT (MySQL): the connection was idle for wait_timeout
  ]),
  outOfReach: new Set([
    // Connections and access. These and revoked privileges concern the user: another connection would not
    // help.
    1040, // ER_CON_COUNT_ERROR: max_connections
    1042, // ER_BAD_HOST_ERROR
    1043, // ER_HANDSHAKE_ERROR
    1044, // ER_DBACCESS_DENIED_ERROR
    1045, // ER_ACCESS_DENIED_ERROR
    1049, // ER_BAD_DB_ERROR
    1129, // ER_HOST_IS_BLOCKED
    1130, // ER_HOST_NOT_PRIVILEGED
    1203, // ER_TOO_MANY_USER_CONNECTIONS: max_user_connections
    1226, // ER_USER_LIMIT_REACHED: max_user_connections, max_queries_per_hour and so on, of this user
    1251, // ER_NOT_SUPPORTED_AUTH_MODE
    1698, // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
    1820, // ER_MUST_CHANGE_PASSWORD
    1862, // ER_MUST_CHANGE_PASSWORD_LOGIN
    3118, // ER_ACCOUNT_HAS_BEEN_LOCKED (MySQL)
    3159, // ER_SECURE_TRANSPORT_REQUIRED
    4151, // ER_ACCOUNT_HAS_BEEN_LOCKED (MariaDB)
    // Revoked privileges.
    1142, // ER_TABLEACCESS_DENIED_ERROR
    1143, // ER_COLUMNACCESS_DENIED_ERROR
    1227, // ER_SPECIFIC_ACCESS_DENIED_ERROR
    // The server ends this statement.
    1317, // ER_QUERY_INTERRUPTED
    1969, // ER_STATEMENT_TIMEOUT (MariaDB)
    3024, // ER_QUERY_TIMEOUT (MySQL)
    // Memory, threads, locks.
    1037, // ER_OUTOFMEMORY
    1038, // ER_OUT_OF_SORTMEMORY
    1041, // ER_OUT_OF_RESOURCES
    1119, // ER_STACK_OVERRUN
    1135, // ER_CANT_CREATE_THREAD
    1206, // ER_LOCK_TABLE_FULL
    1436, // ER_STACK_OVERRUN_NEED_MORE
    1637, // ER_TOO_MANY_CONCURRENT_TRXS
    3170, // ER_CAPACITY_EXCEEDED
    // Disks and files.
    1004, // ER_CANT_CREATE_FILE
    1016, // ER_CANT_OPEN_FILE
    1021, // ER_DISK_FULL
    1023, // ER_ERROR_ON_CLOSE
    1024, // ER_ERROR_ON_READ
    1026, // ER_ERROR_ON_WRITE
    1030, // ER_GET_ERRNO: an error of the storage engine
    1034, // ER_NOT_KEYFILE: an index is broken
    1114, // ER_RECORD_FILE_FULL
    1180, // ER_ERROR_DURING_COMMIT
    1194, // ER_CRASHED_ON_USAGE
    1196, // ER_WARNING_NOT_COMPLETE_ROLLBACK
    1812, // ER_TABLESPACE_MISSING
    1814, // ER_TABLESPACE_DISCARDED
    1877, // ER_ENGINE_OUT_OF_MEMORY
    1932, // ER_NO_SUCH_TABLE_IN_ENGINE
    // Settings of the server that make every write of this program fail: database/requirements.ts reports
    // them at the start.
    1665, // ER_BINLOG_STMT_MODE_AND_ROW_ENGINE
  ]),
} as const

/**
 * SQLSTATE codes of PostgreSQL. `postgresClasses` has whole classes. `readOnly` concerns the server and not
 * the user: session-defaults.ts overrides what a role presets.
 */
export const postgresErrors = {
  unique: new Set(['23505']),
  lostRace: new Set([
    '40001', // serialization_failure
    '40P01', // deadlock_detected
    '55P03', // lock_not_available: lock_timeout
  ]),
  readOnly: new Set(['25006']),
  connectionEnds: new Set([
    '25P03', // idle_in_transaction_session_timeout
    '25P04', // transaction_timeout
    '57P01', // admin_shutdown, and pg_terminate_backend
    '57P02', // crash_shutdown
    '57P03', // cannot_connect_now: a start, a shutdown, a standby that takes no connections
    '57P04', // database_dropped
    '57P05', // idle_session_timeout
  ]),
  outOfReach: new Set([
    '3D000', // invalid_catalog_name: the database is gone
    '40003', // statement_completion_unknown
    '42501', // insufficient_privilege
    '55006', // object_in_use
    '55000', // object_not_in_prerequisite_state: a standby, a slot
  ]),
} as const

/**
 * 08 connection exception, 28 invalid authorization, 53 insufficient resources, 57 operator intervention, 58
 * system error, XX data or index broken. 08P01 is an exception: with severity ERROR, the server did not
 * understand a message of this program.
 */
export const postgresClasses = /^(08|28|53|57|58|XX)[0-9A-Z]{3}$/

/** Primary and extended result codes of SQLite. */
export const sqliteErrors = {
  unique: new Set([
    1555, // SQLITE_CONSTRAINT_PRIMARYKEY
    2067, // SQLITE_CONSTRAINT_UNIQUE
  ]),
  lostRace: new Set([
    5, // SQLITE_BUSY
    6, // SQLITE_LOCKED
  ]),
  readOnly: new Set([
    8, // SQLITE_READONLY
  ]),
  outOfReach: new Set([
    3, // SQLITE_PERM
    7, // SQLITE_NOMEM
    9, // SQLITE_INTERRUPT
    10, // SQLITE_IOERR
    11, // SQLITE_CORRUPT
    13, // SQLITE_FULL
    14, // SQLITE_CANTOPEN
    15, // SQLITE_PROTOCOL: too many processes at the lock
    22, // SQLITE_NOLFS
    23, // SQLITE_AUTH
    26, // SQLITE_NOTADB
  ]),
  /** Errors that do not pass with time: the operator must change the setting, the file or its permissions. */
  unusableFile: new Set([
    3, // SQLITE_PERM
    14, // SQLITE_CANTOPEN
    26, // SQLITE_NOTADB
  ]),
} as const

/**
 * Codes of Node and of the drivers for the loss of an open connection. Before the connection is open, every
 * error counts: `NoConnection`.
 */
export const lostConnections = new Set<unknown>([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENETRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'ENOSPC',
  'ERR_STREAM_DESTROYED',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'PROTOCOL_CONNECTION_LOST',
  'PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR',
  'PROTOCOL_ENQUEUE_AFTER_QUIT',
  'PROTOCOL_SEQUENCE_TIMEOUT',
  'POOL_CLOSED',
  'DEADLINE',
])
