// Validators of requests, compiled on first use. Compiling those of all routes takes a fifth of a start; a
// server that listens compiles them one after the other in the background, so that the first clients do not
// wait for them either.
import ajvCompiler from '@fastify/ajv-compiler'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'

type CompilersFactory = NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>

/** As ajv compiles it: the errors of a failed validation are a property of the function. */
interface Validator {
  (data: unknown): unknown
  errors?: unknown
}

/** The part of @fastify/ajv-compiler that this file uses; its own types also cover JSON Type Definition. */
type BuildValidator = (schemas: unknown, options: unknown) => (route: unknown) => Validator

/** Between two validators that are compiled in the background. */
const pauseMs = 20

/** One for each server. */
export class LazyValidators {
  readonly #build = ajvCompiler() as unknown as BuildValidator
  readonly #compileEach: (() => void)[] = []

  /** Fastify's option `schemaController.compilersFactory`. */
  compilersFactory(): CompilersFactory {
    const buildValidator: BuildValidator = (schemas, options) => {
      let compile: ReturnType<BuildValidator> | null = null
      return (route) =>
        this.#lazy(() => {
          compile ??= this.#build(schemas, options)
          return compile(route)
        })
    }
    // Response schemas serve the documentation only: responses are small plain objects.
    const buildSerializer = () => () => JSON.stringify
    return { buildValidator, buildSerializer } as unknown as CompilersFactory
  }

  /**
   * Compiles what is left, one validator at a time, from the moment that the server listens until it closes.
   */
  attachTo(app: FastifyInstance): void {
    let timer: NodeJS.Timeout | undefined
    const compileNext = () => {
      const compile = this.#compileEach.pop()
      if (!compile) return
      compile()
      timer = setTimeout(compileNext, pauseMs).unref()
    }
    app.addHook('onListen', (done) => {
      timer = setTimeout(compileNext, pauseMs).unref()
      done()
    })
    app.addHook('onClose', async () => clearTimeout(timer))
  }

  #lazy(compile: () => Validator): Validator {
    let compiled: Validator | null = null
    const compileOnce = () => {
      compiled ??= compile()
      return compiled
    }
    this.#compileEach.push(compileOnce)
    // Fastify reads the errors of a failed validation from the function itself, as ajv writes them.
    const validator: Validator = (data) => {
      const validate = compileOnce()
      const result = validate(data)
      validator.errors = validate.errors
      return result
    }
    return validator
  }
}
