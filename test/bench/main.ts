// `npm run bench NAME [ARGUMENT ...]`: measures, and prints what it saw. Quotes ratios of things run in turn in one process.
import process from 'node:process';
import { tuneForLargeBuffers } from '../../infra/process/garbage-collection.ts';

type Bench = (args: readonly string[]) => Promise<void>;

/** Loaded only when run: ONNX Runtime reads its telemetry switch while it loads. */
const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  folder: async () => (await import('./folder.ts')).benchFolder,
  goldens: async () => (await import('./goldens.ts')).benchGoldens,
  health: async () => (await import('./health.ts')).benchHealth,
  overload: async () => (await import('./overload.ts')).benchOverload,
  m2f: async () => (await import('./m2f.ts')).benchM2f,
  'm2f-goldens': async () => (await import('./m2f-goldens.ts')).benchM2fGoldens,
  'm2f-graph': async () => (await import('./m2f-graph.ts')).benchM2fGraph,
  pipelines: async () => (await import('./pipelines.ts')).benchPipelines,
  predict: async () => (await import('./predict.ts')).benchPredict,
  publish: async () => (await import('./publish.ts')).benchPublish,
  registry: async () => (await import('./registry.ts')).benchRegistry,
  swap: async () => (await import('./swap.ts')).benchSwap,
  watch: async () => (await import('./watch.ts')).benchWatch,
};

process.env['ORT_DISABLE_TELEMETRY'] = '1';
// As in the processes that are measured.
tuneForLargeBuffers();

const [name = '', ...args] = process.argv.slice(2);
const bench = BENCHES[name];
if (bench === undefined) {
  console.error(`usage: npm run bench NAME, one of: ${Object.keys(BENCHES).join(', ')}`);
  process.exitCode = 2;
} else {
  await (await bench())(args);
}
