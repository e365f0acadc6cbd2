#!/usr/bin/env node
import { processEnvironment } from '../../infra/process/env.ts';
import { tuneForLargeBuffers } from '../../infra/process/garbage-collection.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { EXIT } from './exit-codes.ts';
import { runCli } from './program.ts';
import { textOutput } from './text-output.ts';

// A reader that went away ("maskterial models | head -1") wants no more; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') {
    process.exit(EXIT.ok);
  }
  process.stderr.write(`maskterial: error: cannot write to standard output: ${error.message}\n`, () => process.exit(EXIT.failed));
});

// The services run in this process too, and the commands send whole images.
tuneForLargeBuffers();

process.exitCode = await runCli(process.argv.slice(2), {
  out: textOutput(process.stdout),
  err: textOutput(process.stderr),
  env: processEnvironment(),
  interrupts,
  now: Date.now,
});

/** The first signal ends the work in hand, a second one the process. */
function interrupts(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => controller.abort(new ServiceError('cancelled', 'CANCELLED', `stopped by ${signal}`)));
  }
  return controller.signal;
}
