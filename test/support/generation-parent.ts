// The main of a process that starts a generation of real engines, tells their process ids, and waits to be killed.
import process from 'node:process';
import { Generation } from '../../inference/engine/generation.ts';

const [modulePath = ''] = process.argv.slice(2);
const settings = { engines: 2, maxWaiting: 0, loadTimeoutMs: 60_000, maxPixels: 1000, threads: 1, modulePath };
const outcome = await Generation.start(1, [], settings, { onEvent: () => undefined }, new AbortController().signal);
if (outcome instanceof Generation) {
  process.send?.(outcome.engines().map(({ pid }) => pid));
}
setInterval(() => undefined, 1e6);
