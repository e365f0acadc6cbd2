import { pino } from 'pino';
import type { Logger } from '../../infra/process/log.ts';

/** A logger whose lines a test reads. */
export function memoryLog(): { readonly logger: Logger; readonly lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => void lines.push(Object(JSON.parse(line)));
  return { logger: pino({ level: 'trace', base: null, timestamp: false }, { write }), lines };
}
