// The faults of one node of a Galera cluster, while servers on all nodes write.
import { setTimeout as sleep } from 'node:timers/promises'
import type { GaleraDeployment } from './deployment-galera.ts'
import { type Fault, faultMs } from './faults.ts'

export const galeraFaults: readonly Fault<GaleraDeployment>[] = [
  {
    name: 'a node is killed',
    mustFailRequests: true,
    async run({ cluster }) {
      const [, node] = cluster.nodes
      await node.kill('SIGKILL')
      await sleep(faultMs)
      await node.start()
      await cluster.isWhole()
    },
  },
  {
    name: 'a node is paused',
    mustFailRequests: true,
    async run({ cluster }) {
      const [, node] = cluster.nodes
      await node.kill('SIGSTOP')
      await sleep(faultMs)
      await node.kill('SIGCONT')
      await cluster.isWhole()
    },
  },
  {
    name: 'a node is cut off from the others',
    mustFailRequests: true,
    async run({ cluster }) {
      const [, , node] = cluster.nodes
      await node.cutOff(true)
      await sleep(faultMs / 2)
      await node.cutOff(false)
      await cluster.isWhole()
    },
  },
]

/** The other servers cannot reach Redis, so that the feed alone carries changes to the server of the node. */
export const laggingNode: Fault<GaleraDeployment> = {
  name: 'a node applies no writes, and the other servers have no Redis',
  mustFailRequests: true,
  async run({ cluster, redisProxy }) {
    const [, node] = cluster.nodes
    redisProxy?.set('refuse')
    const goOn = await node.holdBack()
    // The writer waits for a second before it answers, and the bound is another second.
    await sleep(2 * faultMs)
    await goOn()
    redisProxy?.set('pass')
    await cluster.isWhole()
  },
}
