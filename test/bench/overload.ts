import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { type Load, startLoad } from './load.ts';
import { type LoadReport } from './load-orders.ts';
import { memoryOfTree } from './memory.ts';
import { ammModel, realMicrograph } from './model.ts';
import { benchCancel } from './overload-cancel.ts';
import { benchSlowReader } from './overload-stream.ts';
import { startServices } from './services.ts';
import { formatSpread, quantileOf, ratiosOf, spreadOf } from './statistics.ts';

const ROUNDS = 9;
const RUN_MS = 5_000;
const MULTIPLES = [0.5, 1, 1.5, 2, 3, 4];
/** The load has a core of its own: what it costs is not taken from the server, as it would not be from another machine. */
const ENGINES = Math.max(1, availableParallelism() - 1);
/** None ever waits for its next image, and none is refused. */
const CALLERS = 2 * ENGINES;
/** The queue's bound, so that the longest wait can be said in runs. */
const MAX_WAITING = 4 * ENGINES;

/**
 * Goodput from half to four times what the server can do; what a cancelled call still costs; memory with a reader that is slow.
 * The load comes from a process on the same machine: what it costs is printed, since it is taken from the server.
 */
export async function benchOverload(args: readonly string[]): Promise<void> {
  const image = args[0] ?? realMicrograph();
  const model = ammModel();
  {
    await using services = await startServices({ MAX_WAITING_IMAGES: String(MAX_WAITING), ENGINES: String(ENGINES) });
    await services.release(model);
    await using load = await startLoad(services.inference.address, image, model.name);
    separate(
      services.processes.flatMap(({ pid }) => memoryOfTree(pid).map((found) => found.pid)),
      load.pid,
    );
    await load.run({ kind: 'closed', callers: CALLERS, durationMs: 2_000 });
    await benchGoodput(load);
  }
  await using services = await startServices();
  await services.release(model);
  await benchCancel(services, image, model.name);
  await benchSlowReader(services, image, model.name);
}

/** Gives the load the last core and the server the others, threads included. */
function separate(serverPids: readonly number[], loadPid: number): void {
  try {
    for (const pid of serverPids) {
      execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', ENGINES === 1 ? '0' : `0-${ENGINES - 1}`, String(pid)]);
    }
    execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(ENGINES), String(loadPid)]);
    console.log(`server and engines on ${ENGINES} core${ENGINES === 1 ? '' : 's'}, the load on another`);
  } catch {
    console.log('no taskset here, or one core: server and load share the cores');
  }
}

async function benchGoodput(load: Load): Promise<void> {
  const closed: LoadReport[] = [];
  const open = new Map<number, LoadReport[]>(MULTIPLES.map((multiple) => [multiple, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    const capacity = await load.run({ kind: 'closed', callers: CALLERS, durationMs: RUN_MS });
    closed.push(capacity);
    // To and fro: a machine that gets slower or faster meanwhile is for all loads the same.
    for (const multiple of round % 2 === 0 ? MULTIPLES : MULTIPLES.toReversed()) {
      open.get(multiple)?.push(await load.run({ kind: 'open', perSecond: goodput(capacity) * multiple, durationMs: RUN_MS }));
    }
  }
  const peaks = peakOf([closed, ...open.values()]);
  console.log(`at most ${MAX_WAITING} images wait; ${ROUNDS} rounds of ${RUN_MS / 1000} s each in turn; median (quartiles)`);
  console.log('offered load       goodput, 1/s        of the peak         refused  p99 answered, ms     p99 in runs  load cpu');
  const runMs = closed.map((report) => (1000 * ENGINES) / goodput(report));
  print(`${CALLERS} callers, closed`, closed, peaks, runMs);
  for (const [multiple, reports] of open) {
    print(`${multiple} x capacity`, reports, peaks, runMs);
  }
  console.log(`the queue's bound: ${MAX_WAITING / ENGINES} runs of those that wait, one of that in work, and its own`);
}

function print(what: string, reports: readonly LoadReport[], peaks: readonly number[], runMs: readonly number[]): void {
  const rates = reports.map(goodput);
  const slowest = reports.map(({ calls }) =>
    quantileOf(
      calls.filter(({ reason }) => reason === undefined).map(({ tookMs }) => tookMs),
      0.99,
    ),
  );
  const columns = [
    what.padEnd(18),
    formatSpread(spreadOf(rates)).padEnd(19),
    formatSpread(spreadOf(ratiosOf(rates, peaks)), 3).padEnd(19),
    `${(100 * share(reports)).toFixed(0)} %`.padStart(7),
    formatSpread(spreadOf(slowest), 0).padEnd(20),
    spreadOf(ratiosOf(slowest, runMs)).median.toFixed(1).padStart(11),
    `${((100 * reports.reduce((sum, { cpuMs }) => sum + cpuMs, 0)) / reports.reduce((sum, { elapsedMs }) => sum + elapsedMs, 0)).toFixed(0)} %`.padStart(
      9,
    ),
  ];
  console.log(columns.join(' '));
  const others = reports
    .flatMap(({ calls }) => calls)
    .filter(({ reason }) => reason !== undefined && reason !== 'QUEUE_FULL' && reason !== 'DEADLINE_UNREACHABLE');
  if (others.length > 0) {
    console.log(`  other failures: ${others.length}, ${[...new Set(others.map(({ reason }) => reason))].join(', ')}`);
  }
}

/** Round by round, the goodput of the load whose median is the highest. The best of every round would be the luckiest of seven. */
function peakOf(loads: readonly (readonly LoadReport[])[]): number[] {
  const rates = loads.map((reports) => reports.map(goodput));
  return rates.reduce((best, each) => (spreadOf(each).median > spreadOf(best).median ? each : best));
}

/** Answers a second. */
function goodput({ calls, elapsedMs }: LoadReport): number {
  return (calls.filter(({ reason }) => reason === undefined).length * 1000) / elapsedMs;
}

/** Of the calls, those that were refused. */
function share(reports: readonly LoadReport[]): number {
  const calls = reports.flatMap((report) => report.calls);
  return calls.filter(({ reason }) => reason !== undefined).length / calls.length;
}
