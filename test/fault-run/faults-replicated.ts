// Faults after which a database goes on somewhere else, or from an earlier state.
import { setTimeout as sleep } from 'node:timers/promises'
import { watchedMs } from '../../src/timing.ts'
import { backUp } from '../support/backup.ts'
import { untilDone } from '../support/services/until.ts'
import type { Deployment } from './deployment.ts'
import type { ReplicatedDeployment } from './deployment-replicated.ts'
import { type Fault, faultMs } from './faults.ts'
import { readKept } from './losses.ts'

/** Sessions begin and end meanwhile, and are lost. */
const lostMs = faultMs / 2

export const switchOver: Fault<ReplicatedDeployment> = {
  name: 'the primary becomes read-only, and HAProxy leads to its replica a second later',
  mustFailRequests: true,
  // docs/guarantees.md
  healsWithinMs: 5_000,
  async run({ replication, leadTo }) {
    const replica = await replication.addReplica()
    await replica.switchOver()
    await sleep(faultMs / 2)
    await leadTo(replica.url)
  },
}

export const laggingReplica: Fault<ReplicatedDeployment> = {
  name: 'the primary dies, and a replica that is a second behind takes over',
  mustFailRequests: true,
  async run({ replication, leadTo }, { lost }) {
    const replica = await replication.addReplica()
    await replica.cutOff()
    await sleep(lostMs)
    const from = performance.now()
    await replica.failOver()
    const kept = await leadTo(replica.url)
    lost({ from, to: performance.now(), kept })
  },
}

/** A backup of one moment, and the sessions in it. */
async function backUpOneMoment({ db }: Deployment) {
  const oneMoment = db.transaction().setIsolationLevel('repeatable read')
  return await untilDone(() =>
    oneMoment.execute(async (tx) => ({ backup: await backUp(tx), kept: await readKept(tx) })),
  )
}

export const restore: Fault<ReplicatedDeployment> = {
  name: 'a backup of a second ago is restored under the running servers',
  async run(deployment, { lost }) {
    const { backup, kept } = await backUpOneMoment(deployment)
    await sleep(lostMs)
    const from = performance.now()
    await untilDone(() => backup.restore(deployment.db))
    lost({ from, to: performance.now(), kept })
    await sleep(faultMs)
  },
}

/** No server can notice it while it happens, and what Redis keeps is of the lost history. */
export const restoreWhileStopped: Fault<ReplicatedDeployment> = {
  name: 'all servers are killed, a backup of a second ago is restored, and they start again with the same Redis',
  mustFailRequests: true,
  async run(deployment, { lost }) {
    const { servers } = deployment
    const { backup, kept } = await backUpOneMoment(deployment)
    await sleep(lostMs)
    const starts = await Promise.all(servers.map((server) => server.stop('SIGKILL')))
    const from = performance.now()
    await untilDone(() => backup.restore(deployment.db))
    lost({ from, to: performance.now(), kept })
    // docs/operations.md: the time between the stop of the last server and the start of the first one.
    await sleep(watchedMs)
    await Promise.all(starts.map((start) => start()))
  },
}
