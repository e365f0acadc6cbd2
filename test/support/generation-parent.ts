// The main of a process that starts a generation of engines, gives each the job `script` where one is named, tells their process
// ids, and waits to be killed.
import process from 'node:process';
import { Admission } from '../../inference/engine/admission.ts';
import { Generation } from '../../inference/engine/generation.ts';
import { eventually } from './eventually.ts';
import { job } from './scripted-generation.ts';

const [modulePath = '', script] = process.argv.slice(2);
const settings = { engines: 2, loadTimeoutMs: 60_000, maxPixels: 1000, threads: 1, runLimitMs: 600_000, modulePath };
const deps = { onEvent: () => undefined, admission: new Admission({ maxWaiting: 0, maxWaitingBytes: 0 }) };
const outcome = await Generation.start(1, [], settings, deps, new AbortController().signal);
if (outcome instanceof Generation) {
  const jobs = script === undefined ? [] : outcome.engines().map(() => job(script));
  for (const asked of jobs) {
    outcome.predict(asked).catch(() => undefined);
  }
  await eventually(() => jobs.every(({ stages }) => stages.length > 0));
  process.send?.(outcome.engines().map(({ pid }) => pid));
}
setInterval(() => undefined, 1e6);
