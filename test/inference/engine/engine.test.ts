import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { Engine } from '../../../inference/engine/engine.ts';
import type { DecodedImage } from '../../../inference/predict/decoder.ts';
import { DEFAULT_THRESHOLDS } from '../../../inference/predict/thresholds.ts';
import type { ServableSpec } from '../../../inference/rollout/servable.ts';
import { isServiceError, ServiceError } from '../../../proto/wire/errors.ts';
import { tinyGraph, tinyServable } from '../../support/tiny-classifier.ts';

const folder = await mkdtemp(join(tmpdir(), 'engine-test-'));
after(() => rm(folder, { recursive: true, force: true }));

const never = new AbortController().signal;
const settings = { thresholds: DEFAULT_THRESHOLDS, includeReference: false, classNames: new Map([[1, '1 layer']]) };

/** A flat substrate with a darker square of 20 x 20. */
function picture(): DecodedImage {
  const rgb = new Uint8Array(60 * 60 * 3).fill(160);
  for (let y = 10; y < 30; y += 1) {
    rgb.fill(120, (y * 60 + 10) * 3, (y * 60 + 30) * 3);
  }
  return { width: 60, height: 60, rgb };
}

function newEngine(): Engine {
  return new Engine({ decoder: { decode: async () => picture() } }, { threads: 1 });
}

/** The reason that each servable failed for. */
async function load(...servables: ServableSpec[]): Promise<Record<string, string>> {
  const failures = await newEngine().load(servables);
  return Object.fromEntries(
    failures.map(({ id, error }) => [servables.find((servable) => servable.id === id)?.label, `${error.kind} ${error.reason}`]),
  );
}

test('a classifier is loaded, warmed up and runs', async () => {
  const engine = newEngine();
  const servable = await tinyServable(folder, 'good');
  assert.deepEqual(await engine.load([servable]), []);
  const { flakes } = await engine.predict(
    new Uint8Array(),
    { models: { classification: servable.id } },
    settings,
    () => undefined,
    never,
  );
  assert.deepEqual(
    flakes.map(({ classIndex, layerName, areaPx }) => ({ classIndex, layerName, areaPx })),
    [{ classIndex: 1, layerName: '1 layer', areaPx: 400 }],
  );
});

test('a message that comes during one stage is heard before the next: a cancel stops there', async () => {
  const engine = newEngine();
  const servable = await tinyServable(folder, 'cancelled');
  await engine.load([servable]);
  const aborter = new AbortController();
  const { port1, port2 } = new MessageChannel();
  port2.on('message', () => aborter.abort(new ServiceError('cancelled', 'CANCELLED', 'enough')));
  const begun: string[] = [];
  const onStage = (stage: string): void => {
    begun.push(stage);
    if (stage === 'colours') {
      port1.postMessage('cancel');
    }
  };
  const outcome = engine.predict(
    new Uint8Array(),
    { models: { classification: servable.id } },
    settings,
    onStage,
    aborter.signal,
  );
  await assert.rejects(outcome, (error) => isServiceError(error, 'cancelled'));
  port1.close();
  assert.deepEqual(begun, ['decode', 'colours']);
});

test('a servable that was never loaded is a defect, not a wrong answer', async () => {
  const servable = await tinyServable(folder, 'unloaded');
  await assert.rejects(
    newEngine().predict(new Uint8Array(), { models: { classification: servable.id } }, settings, () => undefined, never),
    Error,
  );
});

test('each graph that is not what its manifest says fails alone; the others load', async () => {
  const found = await load(
    await tinyServable(folder, 'good'),
    await tinyServable(folder, 'no graph', Buffer.from('these are not the bytes of a graph')),
    await tinyServable(folder, 'empty', new Uint8Array()),
    await tinyServable(folder, 'cut', tinyGraph().slice(0, 60)),
    await tinyServable(folder, 'input name', tinyGraph({ input: 'colour' })),
    await tinyServable(folder, 'output name', tinyGraph({ output: 'label' })),
    await tinyServable(folder, 'output type', tinyGraph({ classType: 'int64' })),
    await tinyServable(folder, 'width', tinyGraph({ width: 7 })),
    await tinyServable(folder, 'stated name', tinyGraph(), { output: 'label' }),
    await tinyServable(folder, 'stated type', tinyGraph(), { type: 'int64' }),
  );
  const failed = 'failed-precondition LOAD_FAILED';
  assert.deepEqual(found, {
    'no graph': failed,
    empty: failed,
    cut: failed,
    'input name': failed,
    'output name': failed,
    'output type': failed,
    width: failed,
    'stated name': failed,
    'stated type': failed,
  });
});

test('a manifest that agrees with its graph on the wrong tensors does not load either', async () => {
  const failed = 'failed-precondition LOAD_FAILED';
  assert.deepEqual(
    await load(
      await tinyServable(folder, 'input', tinyGraph({ input: 'colour' }), { input: 'colour' }),
      await tinyServable(folder, 'output', tinyGraph({ output: 'label' }), { output: 'label' }),
      await tinyServable(folder, 'type', tinyGraph({ classType: 'int64' }), { type: 'int64' }),
    ),
    { input: failed, output: failed, type: failed },
  );
});

test('a file with other bytes is reported as corrupt with its digest, is not loaded, and the others are', async () => {
  const bad = await tinyServable(folder, 'corrupt');
  const [path = ''] = Object.values(bad.paths);
  const graph = Buffer.from(tinyGraph());
  graph[graph.length - 1] = (graph.at(-1) ?? 0) ^ 1;
  await writeFile(path, graph);
  const engine = newEngine();
  const good = await tinyServable(folder, 'good');
  const failures = await engine.load([bad, good]);
  assert.deepEqual(
    failures.map(({ id, error, corrupt }) => [id, error.kind, error.reason, corrupt]),
    [[bad.id, 'data-loss', 'DIGEST_MISMATCH', bad.manifest.artifacts[0]?.digest]],
  );
});

test('a file that is gone, or that nobody names, is no corrupt one', async () => {
  const gone = await tinyServable(folder, 'gone');
  await rm(Object.values(gone.paths)[0] ?? '');
  const [failure] = await newEngine().load([gone]);
  assert.deepEqual([failure?.error.reason, failure?.corrupt], ['LOAD_FAILED', undefined]);
  const good = await tinyServable(folder, 'unnamed');
  const [unnamed] = await newEngine().load([{ ...good, paths: {} }]);
  assert.equal(unnamed?.error.reason, 'INTERNAL');
});

test('a contract that this release does not run is refused', async () => {
  const good = await tinyServable(folder, 'tensors');
  const found = await load({ ...good, manifest: { ...good.manifest, contract: 'tensors.v1' } });
  assert.deepEqual(found, { tensors: 'failed-precondition UNSUPPORTED_MODEL' });
});
