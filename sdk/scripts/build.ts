// Builds the package twice, as ES modules and as CommonJS, both of ES2017: webpack 4, Jest and old TypeScript
// read either.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const here = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')

rmSync(here('dist'), { recursive: true, force: true })
for (const config of ['tsconfig.json', 'tsconfig.cjs.json']) {
  execFileSync(process.execPath, [tsc, '-p', here(config)], { stdio: 'inherit' })
}
// The compiler rewrites the imports of the code, not those of the declarations; no TypeScript before 5
// resolves `./x.ts`.
for (const folder of ['dist/esm', 'dist/cjs']) {
  for (const name of readdirSync(here(folder)).filter((name) => name.endsWith('.d.ts'))) {
    const file = here(`${folder}/${name}`)
    writeFileSync(file, readFileSync(file, 'utf8').replace(/(['"]\.\/[\w-]+)\.ts(?=['"])/g, '$1.js'))
  }
}
// The package is of type "module", so the CommonJS files need a package.json of their own, which has to
// repeat the rest.
writeFileSync(here('dist/cjs/package.json'), '{ "type": "commonjs", "sideEffects": false }\n')
