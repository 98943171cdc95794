// The command that a person types for this program: a checkout has npm scripts, an installed package has the
// command `hufu`.

export interface CalledAs {
  readonly command: string
  readonly serve: string
  readonly demo: (options: string) => string
}

/** @param url the URL of a file of this program */
export function calledAs(url: string): CalledAs {
  if (url.includes('/node_modules/')) return withPrefix('npx hufu')
  // Compiled and no package: the container image, which has the command.
  if (url.endsWith('.js')) return withPrefix('hufu')
  return {
    command: 'npm run -s hufu --',
    serve: 'npm start',
    demo: (options) => `npm run demo${options === '' ? '' : ` -- ${options}`}`,
  }
}

const withPrefix = (command: string): CalledAs => ({
  command,
  serve: `${command} serve`,
  demo: (options) => `${command} demo ${options}`.trim(),
})
