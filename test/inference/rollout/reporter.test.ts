import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Notice } from '../../../inference/rollout/notice.ts';
import type { ReportSink, RolloutReport } from '../../../inference/rollout/report-sink.ts';
import { type ReportEvent, Reporter } from '../../../inference/rollout/reporter.ts';
import type { RolloutStatus } from '../../../inference/rollout/rollout.ts';
import type { VersionState } from '../../../inference/rollout/state.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { deferred } from '../../support/deferred.ts';
import { eventually, manyTurns } from '../../support/eventually.ts';
import { makeVersion, pointing } from '../../support/made-version.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';

const TTL_MS = 30_000;
const one = makeVersion('M', 1);
const two = makeVersion('M', 2);
const away = new ServiceError('unavailable', 'REGISTRY_UNAVAILABLE', 'refused');
const old = new ServiceError('internal', 'UNIMPLEMENTED', 'no such method');
const full = new ServiceError('resource-exhausted', 'REPORTS_FULL', 'no room');
const broken = new ServiceError('failed-precondition', 'LOAD_FAILED', 'no such operator');

/** A reporter whose rollout, registry and clock a test moves by hand. */
class ReporterBench implements ReportSink {
  readonly clock = new ManualClock();
  readonly reports: RolloutReport[] = [];
  readonly sequences: number[] = [];
  readonly events: string[] = [];
  readonly notice = new Notice();
  /** What the registry answers; a test may throw or wait here. */
  answer: () => Promise<void> = async () => undefined;
  left = 0;
  #status: RolloutStatus = { connection: { isConnected: false, error: away }, connectionSinceMs: 0, aliases: [], versions: [] };
  readonly reporter: Reporter;

  constructor(t: TestContext) {
    const { clock } = this;
    const rollout = {
      status: () => this.#status,
      changed: (signal: AbortSignal) => this.notice.wait(signal),
    };
    const onEvent = (event: ReportEvent): void => {
      this.events.push(event.kind === 'report-taken' ? 'taken' : `refused ${event.error.reason}`);
    };
    this.reporter = new Reporter({ sink: this, rollout, clock, onEvent });
    t.after(() => this.reporter.stop());
  }

  async send(report: RolloutReport, sequence: number): Promise<{ readonly expireAfterMs: number }> {
    this.reports.push(report);
    this.sequences.push(sequence);
    await this.answer();
    return { expireAfterMs: TTL_MS };
  }

  async leave(sequence: number, signal: AbortSignal): Promise<void> {
    this.sequences.push(sequence);
    this.left += 1;
    await Promise.race([this.answer(), new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))]);
  }

  change(change: Partial<RolloutStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.notice.notify();
  }

  /** The watch is up, as of now. */
  connect(): void {
    this.change({ connection: { isConnected: true }, connectionSinceMs: this.clock.nowMs() });
  }

  disconnect(): void {
    this.change({ connection: { isConnected: false, error: away }, connectionSinceMs: this.clock.nowMs() });
  }

  /** Version 1 serves, version 2 is desired and in `state`. */
  promote(state: VersionState, error?: ServiceError): void {
    const record = { retryAtMs: 0, sinceMs: 5 } as const;
    this.change({
      aliases: [{ desired: pointing(two), serving: one.key }],
      versions: [
        { id: one.id, key: one.key, state: 'ready', error: undefined, ...record },
        { id: two.id, key: two.key, state, error, ...record },
      ],
    });
  }

  async reported(count: number): Promise<void> {
    await eventually(() => this.reports.length >= count);
    assert.equal(this.reports.length, count);
  }

  /** Lets time pass once the reporter sleeps. */
  async pass(ms: number): Promise<void> {
    await this.clock.untilSleeping(1);
    this.clock.advance(ms);
    await manyTurns();
  }
}

test('says what serves, what comes, and why something failed', async (t) => {
  const bench = new ReporterBench(t);
  bench.promote('failed', broken);
  bench.connect();
  await bench.reported(1);
  const [report] = bench.reports;
  assert.deepEqual(report?.aliases, [
    {
      model: 'M',
      alias: 'production',
      desiredVersion: 2,
      desiredRevision: 2,
      serving: { version: 1, manifestDigest: one.key.manifest.digest },
    },
  ]);
  assert.deepEqual(report?.servables, [
    { model: 'M', version: 1, manifestDigest: one.key.manifest.digest, state: 'ready', failure: undefined, sinceMs: 5 },
    {
      model: 'M',
      version: 2,
      manifestDigest: two.key.manifest.digest,
      state: 'failed',
      failure: { kind: 'failed-precondition', reason: 'LOAD_FAILED', message: 'no such operator' },
      sinceMs: 5,
    },
  ]);
  assert.deepEqual(bench.events, ['taken']);
});

test('reports each change, but what changes in quick succession together', async (t) => {
  const bench = new ReporterBench(t);
  bench.connect();
  await bench.reported(1);
  bench.promote('wanted');
  bench.promote('fetching');
  await manyTurns();
  assert.equal(bench.reports.length, 1);
  await bench.pass(250);
  await bench.reported(2);
  assert.equal(bench.reports[1]?.servables[1]?.state, 'fetching');
  await bench.pass(250);
  bench.promote('ready');
  await bench.reported(3);
  assert.deepEqual(bench.sequences, [1, 2, 3]);
});

test('a change while a report is on its way is reported after it', async (t) => {
  const bench = new ReporterBench(t);
  const gate = deferred();
  bench.answer = () => gate.promise;
  bench.promote('fetching');
  bench.connect();
  await bench.reported(1);
  bench.promote('ready');
  gate.resolve();
  await manyTurns();
  await bench.pass(250);
  await bench.reported(2);
  assert.equal(bench.reports[1]?.servables[1]?.state, 'ready');
});

test('renews an unchanged report three times as often as it would expire, and no more', async (t) => {
  const bench = new ReporterBench(t);
  bench.connect();
  await bench.reported(1);
  await bench.pass(250);
  await bench.pass(TTL_MS / 3 - 251);
  assert.equal(bench.reports.length, 1);
  await bench.pass(1);
  await bench.reported(2);
  await bench.pass(250);
  await bench.pass(TTL_MS / 3 - 250);
  await bench.reported(3);
  assert.deepEqual(bench.reports[2], bench.reports[0]);
});

test('a registry that is away is not asked; back, it is told at once and again, for it may have forgotten', async (t) => {
  const bench = new ReporterBench(t);
  bench.promote('ready');
  await manyTurns();
  await bench.pass(3_600_000);
  assert.deepEqual([bench.reports, bench.events], [[], []]);
  bench.connect();
  await bench.reported(1);
  await bench.pass(250);
  bench.disconnect();
  bench.promote('failed', broken);
  await bench.pass(TTL_MS);
  assert.equal(bench.reports.length, 1);
  bench.promote('ready');
  bench.connect();
  await bench.reported(2);
  assert.deepEqual(bench.reports[1], bench.reports[0]);
});

test('a registry of an earlier release is asked once a connection, and then hardly ever', async (t) => {
  const bench = new ReporterBench(t);
  bench.answer = () => Promise.reject(old);
  bench.connect();
  await bench.reported(1);
  bench.promote('ready');
  await bench.pass(599_999);
  assert.equal(bench.reports.length, 1);
  await bench.pass(1);
  await bench.reported(2);
  bench.disconnect();
  bench.answer = async () => undefined;
  bench.clock.advance(1);
  bench.connect();
  await bench.reported(3);
  assert.deepEqual(bench.events, ['refused UNIMPLEMENTED', 'taken']);
});

test('a registry that refuses is asked again, less and less often, and it is said once', async (t) => {
  const bench = new ReporterBench(t);
  bench.answer = () => Promise.reject(full);
  bench.connect();
  await bench.reported(1);
  for (const [index, pause] of [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000].entries()) {
    await bench.pass(pause - 1);
    assert.equal(bench.reports.length, index + 1, `${pause}`);
    await bench.pass(1);
    await bench.reported(index + 2);
  }
  assert.deepEqual(bench.events, ['refused REPORTS_FULL']);
  bench.answer = async () => undefined;
  await bench.pass(60_000);
  assert.deepEqual(bench.events, ['refused REPORTS_FULL', 'taken']);
});

test('says good-bye when it stops, with a number of its own; once', async (t) => {
  const bench = new ReporterBench(t);
  bench.connect();
  await bench.reported(1);
  await bench.reporter.stop();
  await bench.reporter.stop();
  assert.deepEqual([bench.left, bench.sequences], [1, [1, 2]]);
});

test('a good-bye that nobody answers is not waited for', async (t) => {
  const bench = new ReporterBench(t);
  bench.connect();
  await bench.reported(1);
  await bench.pass(250);
  bench.answer = () => deferred().promise;
  const stopped = bench.reporter.stop();
  await eventually(() => bench.left === 1);
  await bench.pass(5000);
  await stopped;
});

for (const [what, prepare] of [
  ['is away', (bench: ReporterBench) => bench.disconnect()],
  ['takes no reports', (bench: ReporterBench) => (bench.answer = () => Promise.reject(old))],
] as const) {
  test(`stops at once while the registry ${what}`, async (t) => {
    const bench = new ReporterBench(t);
    prepare(bench);
    if (what === 'takes no reports') {
      bench.connect();
      await bench.reported(1);
    }
    await bench.reporter.stop();
    assert.equal(bench.left, 0);
  });
}

test('stops in the middle of a report', async (t) => {
  const bench = new ReporterBench(t);
  const gate = deferred();
  bench.answer = () => gate.promise;
  bench.connect();
  await bench.reported(1);
  const stopped = bench.reporter.stop();
  bench.answer = async () => undefined;
  gate.reject(new ServiceError('cancelled', 'CANCELLED', 'cancelled'));
  await stopped;
  assert.deepEqual(bench.events, []);
  assert.equal(bench.left, 1, 'the registry may have taken the report');
});
