import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFlakeFilter } from '../../../clients/cli/flake-filter.ts';
import { ModelRole } from '../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { flakeAt, summaryOf, USED_MODEL } from '../../support/predictions.ts';
import { isError } from '../../support/service-errors.ts';

/** 25, 50 and 30 um^2. */
const flakes = [flakeAt(0, 2, 50, 30, 10, 10, 0.5), flakeAt(1, 1, 5, 5, 20, 10, 0.5), flakeAt(2, 2, 80, 10, 12, 10, 0.5)];
const answer = { flakes, summary: summaryOf(flakes, 0.5) };

const CASES: [string, readonly string[] | undefined, number | undefined, number[], number | undefined][] = [
  ['nothing asked for', undefined, undefined, [0, 1, 2], undefined],
  ['a layer by number', ['1'], undefined, [1], 2],
  ['a layer by name, whatever the case', ['2 LAYERS'], undefined, [0, 2], 1],
  ['several layers', ['1', '2 layers'], undefined, [0, 1, 2], 0],
  ['an area, the limit itself included', undefined, 30, [1, 2], 1],
  ['no area', undefined, 0, [0, 1, 2], 0],
  ['both', ['2'], 30, [2], 2],
  ['more than there is', undefined, 1e6, [], 3],
];
for (const [name, layers, minAreaUm2, kept, leftOutCount] of CASES) {
  test(`filter: ${name}`, () => {
    const filtered = createFlakeFilter({ layers, minAreaUm2 })(answer);
    assert.deepEqual(
      filtered.flakes.map(({ index }) => index),
      kept,
    );
    assert.equal(filtered.leftOutCount, leftOutCount);
    assert.equal(filtered.summary, answer.summary);
  });
}

test('a layer that no model knows is an error, not an empty list', () => {
  const filter = createFlakeFilter({ layers: ['1', 'trilayer'], minAreaUm2: undefined });
  assert.throws(() => filter(answer), isError('invalid-argument', 'INVALID_REQUEST'));
  assert.throws(() => filter(answer), /"trilayer".*CLS_GMM_Test:3 has 1 \("1 layer"\), 2 \("2 layers"\)/);
});

test('where the models do not tell their layers, the names of the flakes count', () => {
  const untold = { flakes, summary: { ...answer.summary, models: [{ ...USED_MODEL, layers: [] }] } };
  assert.equal(createFlakeFilter({ layers: ['1 layer'], minAreaUm2: undefined })(untold).flakes.length, 1);
  assert.equal(createFlakeFilter({ layers: ['bulk'], minAreaUm2: undefined })(untold).flakes.length, 0);
});

test("a segmentation model's one class is a layer only where no classifier gave the flakes theirs", () => {
  const segmenter = {
    ...USED_MODEL,
    role: ModelRole.MODEL_ROLE_SEGMENTATION,
    model: 'SEG_M2F_Test',
    layers: [{ classIndex: 1, name: 'flake' }],
  };
  const filter = createFlakeFilter({ layers: ['flake'], minAreaUm2: undefined });
  const both = { flakes, summary: { ...answer.summary, models: [segmenter, USED_MODEL] } };
  assert.throws(() => filter(both), isError('invalid-argument', 'INVALID_REQUEST'));
  assert.throws(() => filter(both), /no layer "flake"; CLS_GMM_Test:3 has [^;]*$/);
  assert.equal(createFlakeFilter({ layers: ['1'], minAreaUm2: undefined })(both).flakes.length, 1);
  const alone = flakes.map((flake) => ({ ...flake, classIndex: 1, layerName: 'flake' }));
  const segmented = { flakes: alone, summary: { ...answer.summary, models: [segmenter] } };
  assert.equal(filter(segmented).flakes.length, 3);
});
