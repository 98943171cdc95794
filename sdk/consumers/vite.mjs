// Bundles app.js with Vite: node vite.mjs <folder of the app> <file to write>
import { basename, dirname, resolve } from 'node:path'
import { build } from 'vite'

const [app, out] = process.argv.slice(2)

await build({
  root: resolve(app),
  configFile: false,
  logLevel: 'warn',
  build: {
    target: 'es2017',
    outDir: dirname(resolve(out)),
    emptyOutDir: false,
    rollupOptions: {
      input: resolve(app, 'app.js'),
      output: { format: 'iife', entryFileNames: basename(out) },
    },
  },
})
