import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineAnswer } from '../../../inference/engine/protocol.ts';
import type { PipelineSet, PredictImageDeps } from '../../../inference/pipeline/predict-image.ts';
import { createPredict } from '../../../inference/rpc/predict-service.ts';
import type { PredictRequest, PredictResponse } from '../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import type { CallContext } from '../../../proto/wire/handlers.ts';
import { makeVersion } from '../../support/made-version.ts';
import { hasViolationAt } from '../../support/service-errors.ts';

const made = makeVersion('M', 3);
const flake = {
  classIndex: 1,
  layerName: '1 layer',
  areaPx: 300,
  centre: { x: 1, y: 2 },
  box: { x: 1, y: 2, width: 3, height: 4 },
  maxSidePx: 4,
  minSidePx: 3,
  score: 1,
  falsePositiveProbability: 0,
  mask: { height: 10, width: 10, counts: 'abc' },
};
const answer: EngineAnswer = {
  width: 10,
  height: 10,
  background: { b: 1, g: 2, r: 3 },
  distinctColours: 5,
  flakes: [flake, { ...flake, classIndex: 2 }],
  timings: [],
};
/** Those of the engine's jobs. */
const deadlines: unknown[] = [];
const deps: PredictImageDeps<PipelineSet> = {
  acquire: async (_reference, onLoading) => {
    onLoading(made.key);
    const set: PipelineSet = {
      servables: [{ id: made.id, label: 'M:3', manifest: made.manifest, paths: {} }],
      has: () => true,
      predict: async ({ onStage, deadlineMs }) => {
        deadlines.push(deadlineMs);
        onStage('decode');
        onStage('geometry');
        return answer;
      },
    };
    return { set, versions: [{ id: made.id, key: made.key }], [Symbol.dispose]: () => undefined };
  },
  nowMs: () => 0,
};

function context(): CallContext & { readonly fields: Record<string, unknown> } {
  const fields: Record<string, unknown> = {};
  const { signal } = new AbortController();
  const noteDefect = (): void => undefined;
  const annotate = (more: object): void => void Object.assign(fields, more);
  return { signal, shutdown: signal, requestId: 'r1', peer: 'test', deadlineMs: undefined, annotate, noteDefect, fields };
}

const request: PredictRequest = {
  image: Buffer.from('picture'),
  options: {
    pipeline: { segmentationModel: '', classificationModel: 'M', postprocessingModel: '' },
    includeReference: false,
    priority: 0,
  },
};

test("the engine learns of the call's deadline", async () => {
  await answersOf(request, { ...context(), deadlineMs: 123 });
  assert.equal(deadlines.at(-1), 123);
});

async function answersOf(asked: PredictRequest, call: CallContext): Promise<PredictResponse[]> {
  const answers: PredictResponse[] = [];
  for await (const message of createPredict(deps, { maxImageBytes: 100 })(asked, call)) {
    answers.push(message);
  }
  return answers;
}

test('events in order: loading, accepted, stages, flakes by index, summary last', async () => {
  const call = context();
  const answers = await answersOf(request, call);
  assert.deepEqual(
    answers.map(({ event }) =>
      event?.$case === 'flake' ? `flake ${event.value.index} ${event.value.classIndex}` : event?.$case,
    ),
    ['loading', 'accepted', 'progress', 'progress', 'flake 0 1', 'flake 1 2', 'summary'],
  );
  assert.deepEqual(call.fields, { models: ['M:3'], flakes: 2, imageBytes: 7 });
});

test('accepted and summary name the exact version and its manifest, and the request', async () => {
  const answers = await answersOf(request, context());
  for (const { event } of answers.filter(({ event: found }) => found?.$case === 'accepted' || found?.$case === 'summary')) {
    assert.ok(event?.$case === 'accepted' || event?.$case === 'summary');
    assert.deepEqual(
      event.value.models.map(({ model, version, manifestDigest }) => [model, version, manifestDigest]),
      [['M', 3, made.key.manifest.digest]],
    );
    assert.equal(event.value.requestId, 'r1');
  }
});

test('what is wrong with a request is told before anything is asked for', async () => {
  await assert.rejects(
    answersOf({ image: Buffer.alloc(0), options: undefined }, context()),
    hasViolationAt('INVALID_REQUEST', 'image', 'options.pipeline'),
  );
});
