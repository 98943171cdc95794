// Nodes of a Galera cluster (MariaDB): each connection learns whether it leads to one, and then waits in its
// statements for what other nodes have committed. docs/operations.md says what this costs.
//
// A node applies the writes of other nodes a moment after their commits were acknowledged, and a paused or
// separated node much later. It locks rows for its own transactions only; two transactions that change the
// same row on two nodes conflict at their commits, and the later one gets 1213. So on a cluster every
// decision under a lock must change the row that it locks.

import { WrongServer } from './server-identity.ts'

/** Runs a statement that has a fixed text, and returns its rows. */
type Ask = (statement: string) => Promise<readonly Record<string, unknown>[]>

/** The node answers, and its cluster does without it at the moment. */
class NodeNotSynced extends WrongServer {
  constructor(state: unknown) {
    super(`this node of the Galera cluster is not in use: its state is ${String(state)}`, false)
    this.name = 'NodeNotSynced'
  }
}

/** The bits of `wsrep_sync_wait` (MariaDB's documentation, "Galera Cluster System Variables"). */
const reads = 1
const updates = 2
const inserts = 4

/**
 * `wsrep_sync_wait`: each read outside a transaction, each begin of a transaction, and each write outside one
 * first waits until this node has applied everything that was committed anywhere before. Statements inside a
 * transaction do not wait. A wait that is too long ends with 1205, or by the deadline of the statement.
 *
 * `wsrep_retry_autocommit`: a write outside a transaction that conflicts with another node is run again by
 * the server, so that its conditions are checked against the new row.
 *
 * `wsrep_dirty_reads`: a node without a majority refuses reads. `wsrep_osu_method`: a migration changes a
 * table on all nodes at the same place in the order of their writes.
 */
const session = `set session wsrep_sync_wait = ${reads | updates | inserts}, wsrep_retry_autocommit = 4,
  wsrep_dirty_reads = 0, wsrep_osu_method = 'TOI'`

/**
 * Prepares a new connection to MySQL or MariaDB. Servers without Galera do not know its variables, so that
 * these are looked for first.
 * @returns whether it leads to a node of a cluster
 */
export async function prepareForGalera(ask: Ask): Promise<boolean> {
  const [variable] = await ask("show session variables like 'wsrep_on'")
  if (variable?.Value !== 'ON') return false
  await ask(session)
  return true
}

/**
 * Refuses a node that is not synced: one that gives its data to another node, was taken out
 * (`wsrep_desync`), is still joining, or has no majority. Such a node still answers a `select` without
 * tables.
 * @throws NodeNotSynced
 */
export async function assertSynced(ask: Ask): Promise<void> {
  const rows = await ask(
    "show global status where variable_name in ('wsrep_ready', 'wsrep_local_state_comment')",
  )
  const status = new Map(rows.map(({ Variable_name: name, Value: value }) => [name, value]))
  const state = status.get('wsrep_local_state_comment')
  if (status.get('wsrep_ready') !== 'ON') throw new NodeNotSynced(`${String(state)}, not ready`)
  if (state !== 'Synced') throw new NodeNotSynced(state)
}
