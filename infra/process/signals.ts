import type { Logger } from './log.ts';

/**
 * Resolves at the first SIGTERM or SIGINT. A second one ends the process at once: whoever sends it does not want to wait.
 */
export function untilStopped(logger: Logger): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isStopping = false;
    const listen = (signal: NodeJS.Signals): void => {
      if (isStopping) {
        logger.warn({ signal }, 'second signal: exiting now');
        process.exit(1);
      }
      isStopping = true;
      logger.info({ signal }, 'stopping');
      resolve(signal);
    };
    process.on('SIGTERM', listen);
    process.on('SIGINT', listen);
  });
}

/** Ends the process after `limitMs`, unless disposed before: whatever a clean-up waits for, a stop ends. */
export function exitUnlessDone(logger: Logger, limitMs: number): Disposable {
  const timer = setTimeout(() => {
    logger.error({ limitMs }, 'not stopped in time: exiting now');
    process.exit(1);
  }, limitMs);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
