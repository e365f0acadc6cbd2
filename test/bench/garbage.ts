import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Collects young objects, buffers among them, now. A full collection would throw compiled code away, too. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') {
    collect({ type: 'minor' });
  }
}
