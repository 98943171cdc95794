// Type-checks files as an app would that uses this package.
import { basename } from 'node:path'
import ts from 'typescript'

/** @returns one line for each error, beginning with the file's name */
export function compile(files: readonly string[], paths: Record<string, string[]>): readonly string[] {
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2020,
    lib: ['lib.es2020.d.ts'],
    // Top-level await is for modules of ES2022 and later.
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    types: [],
    paths,
  })
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    const said = ts.flattenDiagnosticMessageText(messageText, '\n')
    return `${file ? basename(file.fileName) : ''}: ${said}`
  })
}
