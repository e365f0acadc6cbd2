import { dirname, join } from 'node:path';
import { startLoad } from './load.ts';
import { type LoadCall, nowMs } from './load-orders.ts';
import { memoryOfTree } from './memory.ts';
import { ammModel, realMicrograph } from './model.ts';
import { startServices } from './services.ts';
import { formatSpread, quantileOf, ratiosOf, spreadOf } from './statistics.ts';

const ROUNDS = 7;
const STEADY_MS = 6_000;
/** After the pointer moved the old generation drains and exits. */
const AFTER_MS = 1_500;
const CALLERS = [1, 2];
const MEMORY_EVERY_MS = 50;

/** Predict around a promotion: its p99 from the promotion until the old generation is gone, against steady state; and memory. */
export async function benchSwap(): Promise<void> {
  const first = ammModel();
  const second = { ...first, path: join(dirname(first.path), 'WSe2') };
  await using services = await startServices();
  await services.release(first);
  const versions = [1, await services.publish(second)];
  // Both have been loaded once: what a version costs the first time, such as its fetch, is no part of a swap.
  await services.promote(first.name, versions[1] ?? 0);
  await using load = await startLoad(services.inference.address, realMicrograph(), first.name);
  const inferencePid = services.processes[1]?.pid ?? 0;

  for (const callers of CALLERS) {
    const steady: number[] = [];
    const inWindow: number[] = [];
    const windows: number[] = [];
    const memory: number[] = [];
    const calls = { all: 0, failed: 0 };
    for (let round = 0; round < ROUNDS; round += 1) {
      const loading = load.run({ kind: 'closed', callers, durationMs: 2 * STEADY_MS });
      await sleep(STEADY_MS);
      const before = residentMib(inferencePid);
      const promotedMs = nowMs();
      const sampling = new AbortController();
      const peak = watchMemory(inferencePid, sampling.signal);
      await services.promote(first.name, versions[round % 2] ?? 0);
      windows.push(nowMs() - promotedMs);
      await sleep(AFTER_MS);
      sampling.abort();
      const endMs = nowMs();
      memory.push((await peak) / before);
      const report = await loading;
      calls.all += report.calls.length;
      calls.failed += report.calls.filter(({ reason }) => reason !== undefined).length;
      const overlaps = ({ startedMs, tookMs }: LoadCall): boolean => startedMs < endMs && startedMs + tookMs > promotedMs;
      steady.push(p99(report.calls.filter((call) => !overlaps(call))));
      inWindow.push(p99(report.calls.filter(overlaps)));
    }
    console.log(`${callers} caller${callers === 1 ? '' : 's'} without a pause, ${ROUNDS} promotions; median (quartiles)`);
    console.log(`  calls: ${calls.all}, failed: ${calls.failed}`);
    const line = (what: string, values: number[], digits = 1): void =>
      console.log(`  ${what.padEnd(52)} ${formatSpread(spreadOf(values), digits)}`);
    line('promotion until the new version serves, ms', windows, 0);
    line('p99 in steady state, ms', steady);
    line('p99 from the promotion until the old one is gone, ms', inWindow);
    line('p99 in the window / steady', ratiosOf(inWindow, steady), 2);
    line('resident memory of server and engines, peak / before', memory, 2);
  }
}

function p99(calls: readonly LoadCall[]): number {
  return quantileOf(
    calls.map(({ tookMs }) => tookMs),
    0.99,
  );
}

/** The most that the processes had resident together, until aborted. */
async function watchMemory(pid: number, signal: AbortSignal): Promise<number> {
  let peak = 0;
  while (!signal.aborted) {
    peak = Math.max(peak, residentMib(pid));
    await sleep(MEMORY_EVERY_MS);
  }
  return peak;
}

function residentMib(pid: number): number {
  return memoryOfTree(pid).reduce((sum, { residentMib: mib }) => sum + mib, 0);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
