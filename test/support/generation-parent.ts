// The main of a process that starts a generation of engines, gives each the job `script` where one is named, tells their process
// ids, and waits to be killed. With the label of a servable it tells of the first engine before that has loaded it.
import process from 'node:process';
import { Admission } from '../../inference/engine/admission.ts';
import { Generation } from '../../inference/engine/generation.ts';
import { LoadPriority } from '../../inference/engine/load-priority.ts';
import { eventually } from './eventually.ts';
import { job, scriptedServable } from './scripted-generation.ts';

const [modulePath = '', script = '', label = ''] = process.argv.slice(2);
const settings = {
  engines: 2,
  loadTimeoutMs: 600_000,
  memoryLimitBytes: 0,
  maxPixels: 1000,
  threads: 1,
  runLimitMs: 600_000,
  modulePath,
};
const tellSpawned = { own: () => 0, set: (pid: number) => process.send?.([pid]), threads: () => [] };
const deps = {
  onEvent: () => undefined,
  admission: new Admission({ maxWaiting: 0, maxWaitingBytes: 0 }),
  beside: label === '' ? undefined : new LoadPriority(() => undefined, tellSpawned),
};
const servables = label === '' ? [] : [scriptedServable(label)];
const outcome = await Generation.start(1, servables, settings, deps, new AbortController().signal);
if (outcome instanceof Generation) {
  const jobs = script === '' ? [] : outcome.engines().map(() => job(script));
  for (const asked of jobs) {
    outcome.predict(asked).catch(() => undefined);
  }
  await eventually(() => jobs.every(({ stages }) => stages.length > 0));
  process.send?.(outcome.engines().map(({ pid }) => pid));
}
setInterval(() => undefined, 1e6);
