import { setTimeout } from 'node:timers/promises';
import { healthClient } from '../support/health-check.ts';
import { startLoad } from './load.ts';
import { ammModel, realMicrograph } from './model.ts';
import { startServices } from './services.ts';
import { formatSpread, quantileOf, ratiosOf, spreadOf } from './statistics.ts';

const RUNS = 5;
const RUN_MS = 6_000;
const GAP_MS = 10;
/** Twice the engines: each finds its next image waiting. */
const CALLERS = 4;

/** How long health takes to answer while all cores predict, against an idle server: five runs of each, in turn. */
export async function benchHealth(): Promise<void> {
  const model = ammModel();
  await using services = await startServices();
  await services.release(model);
  const { address } = services.inference;
  await using load = await startLoad(address, realMicrograph(), model.name);
  using health = healthClient(address);
  await load.run({ kind: 'closed', callers: CALLERS, durationMs: 2_000 });

  const idle: number[][] = [];
  const busy: number[][] = [];
  const perSecond: number[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    idle.push(await probe(health, () => false, RUN_MS));
    let isOver = false;
    const loading = load.run({ kind: 'closed', callers: CALLERS, durationMs: RUN_MS }).finally(() => (isOver = true));
    busy.push(await probe(health, () => isOver, Number.POSITIVE_INFINITY));
    const { calls, elapsedMs } = await loading;
    perSecond.push((calls.filter(({ reason }) => reason === undefined).length * 1000) / elapsedMs);
  }
  const p99 = (runs: readonly number[][]): number[] => runs.map((values) => quantileOf(values, 0.99));
  const p50 = (runs: readonly number[][]): number[] => runs.map((values) => quantileOf(values, 0.5));
  const worst = (runs: readonly number[][]): number[] => runs.map((values) => Math.max(...values));
  console.log(`Health.Check every ${GAP_MS} ms, ${RUNS} runs of each in turn; median of the runs (quartiles)`);
  const line = (what: string, values: number[], digits = 1): void =>
    console.log(`  ${what.padEnd(44)} ${formatSpread(spreadOf(values), digits)}`);
  line('idle: p50, ms', p50(idle), 2);
  line('idle: p99, ms', p99(idle), 2);
  line('all cores predicting: p50, ms', p50(busy), 2);
  line('all cores predicting: p99, ms (50 or less)', p99(busy), 2);
  line('all cores predicting: longest, ms', worst(busy), 2);
  line('p99 busy / p99 idle', ratiosOf(p99(busy), p99(idle)), 2);
  line('images/s meanwhile', perSecond);
  console.log(`  checks: ${idle.flat().length} idle, ${busy.flat().length} busy`);
}

/** Milliseconds of each check, one after another, until `isOver` or `durationMs`. */
async function probe(
  health: { check(service: string): Promise<number> },
  isOver: () => boolean,
  durationMs: number,
): Promise<number[]> {
  const endMs = performance.now() + durationMs;
  const values: number[] = [];
  while (!isOver() && performance.now() < endMs) {
    const started = performance.now();
    await health.check('');
    values.push(performance.now() - started);
    await setTimeout(GAP_MS);
  }
  return values;
}
