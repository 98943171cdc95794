// docs/docker.md. These tests have no Docker: test/operations/docker.test.ts and
// test/operations/compose.test.ts run the same steps without it.
import { by, notRun, type Script } from './blocks.ts'

const noDocker = notRun(
  'it needs Docker; test/operations/docker.test.ts takes the steps of the image without it',
)

export const docker: Script = [
  ['docker build', noDocker, by('test/operations/docker.test.ts', 'the steps of the Dockerfile')],
  ['cd deploy', by('test/operations/compose.test.ts', "'(umask 077")],
  ['docker compose exec -T mariadb', notRun('it needs Docker and the image of MariaDB')],
]
