import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { importBundle } from '../../../../clients/import/import-bundle.ts';
import { fileOfBytes } from '../../../../clients/import/imported-file.ts';
import { evaluateM2f, type M2fAnswer } from '../../../../clients/import/m2f/evaluate/evaluate-m2f.ts';
import { parseM2fSettings } from '../../../../clients/import/m2f/settings.ts';
import { MemorySource } from '../../../support/bundle-memory-source.ts';
import { buildPlainM2fGraph } from '../../../support/m2f/plain-graph.ts';
import { lookupIn, type M2fModel, m2fFiles, randomImage, randomM2f, TINY } from '../../../support/m2f/random-model.ts';
import { type M2fOutput, runM2f } from '../../../support/m2f/run-m2f.ts';
import type { M2fShape } from '../../../support/m2f/shape.ts';

const { signal } = new AbortController();
const LEVELS = [0, 1, 2] as const;

/** Values inside the graph, in the order of the computation, and what they are in the formulas. */
function stagesOf(shape: M2fShape, answer: M2fAnswer): Map<string, Float64Array> {
  const sizes = [answer.features.res5, answer.features.res4, answer.features.res3].map(({ height, width }) => height * width);
  const rows = (data: Float64Array, level: number): Float64Array => {
    const first = sizes.slice(0, level).reduce((sum, size) => sum + size, 0);
    return data.subarray(first * shape.convs, (first + (sizes[level] ?? 0)) * shape.convs);
  };
  return new Map([
    ...Object.entries(answer.features).map(([name, { data }]) => [name, data] as const),
    ...LEVELS.map((level) => [`encoder_in.${level}`, rows(answer.encoderInput.data, level)] as const),
    ...answer.encoderOutputs.flatMap(({ data }, layer) =>
      LEVELS.map((level) => [`encoder.${layer}.${level}`, rows(data, level)] as const),
    ),
    ['quarter', answer.quarter.data] as const,
    ...answer.attentionMasks.map(({ data }, layer) => [`masks.${layer}`, data] as const),
    ...answer.queries.map(({ data }, layer) => [`queries.${layer}`, data] as const),
  ]);
}

async function checkImages(model: M2fModel, sizes: readonly (readonly [number, number])[]): Promise<void> {
  const { shape } = model;
  const settings = parseM2fSettings(Buffer.from(model.config), 'config.yaml');
  const images = sizes.map(([height, width], index) => randomImage(height, width, index + 1));
  const answers = await Promise.all(images.map((image) => evaluateM2f(settings, lookupIn(model), image)));
  const probes = answers[0] === undefined ? [] : [...stagesOf(shape, answers[0]).keys()];
  const bundle = await importBundle(new MemorySource(m2fFiles(model)), { signal });
  const outputs = await runM2f(bundle, images, probes);
  answers.forEach((answer, index) => {
    const output = outputs[index] ?? assert.fail('no output');
    checkImage(shape, answer, output, `${sizes[index]?.join(' x ')}`);
  });
}

function checkImage(shape: M2fShape, answer: M2fAnswer, output: M2fOutput, size: string): void {
  for (const [name, expected] of stagesOf(shape, answer)) {
    assertClose(output.probes.get(name) ?? [], expected, `${name} of ${size}`);
  }
  assertClose(output.classLogits, answer.classLogits.data, `class logits of ${size}`);
  assertClose(output.maskLogits, answer.maskLogits.data, `mask logits of ${size}`);
  assert.deepEqual(output.size, [shape.queries, answer.quarter.height, answer.quarter.width]);
  // Otherwise the comparison says little of the attention masks.
  const allowed = answer.attentionMasks.map(({ data }) => data.filter((value) => value >= 0).length / data.length);
  assert.ok(
    allowed.some((share) => share > 0 && share < 1),
    `shares allowed: ${allowed.join(', ')}`,
  );
}

/** Single against double precision through some seventy layers: 1e-4 of the largest value; a wrong formula differs by itself. */
function assertClose(found: ArrayLike<number>, expected: Float64Array, what: string): void {
  assert.equal(found.length, expected.length, what);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  let worst = 0;
  expected.forEach((value, index) => {
    worst = Math.max(worst, Math.abs((found[index] ?? Number.NaN) - value));
  });
  assert.ok(worst <= 1e-4 * (1 + largest), `${what}: differs by ${worst}, values up to ${largest}`);
}

describe('the graph of a Mask2Former model', () => {
  it('gives the values of the formulas, stage by stage, for images of any size', () =>
    checkImages(randomM2f(TINY), [
      [40, 70],
      [64, 32],
      [1, 1],
      [33, 129],
    ]));

  it('gives what the plain graph gives that it is measured against', async () => {
    const model = randomM2f(TINY, 5);
    const image = randomImage(40, 70);
    const settings = parseM2fSettings(Buffer.from(model.config), 'config.yaml');
    const tensor = lookupIn(model);
    const answer = await evaluateM2f(settings, tensor, image);
    const { graph, files } = buildPlainM2fGraph(settings, { file: '', tensor });
    const described = await Promise.all(files.map(async (file) => ({ file, imported: await file.describe() })));
    const bytes = graph.build('plain', {}, new Map(described.map(({ file, imported }) => file.location(imported))));
    const plain = await fileOfBytes('model.onnx', bytes);
    const [output] = await runM2f({ files: [plain, ...described.map(({ imported }) => imported)] }, [image]);
    assertClose(output?.classLogits ?? [], answer.classLogits.data, 'class logits');
    assertClose(output?.maskLogits ?? [], answer.maskLogits.data, 'mask logits');
  });

  const shapes: Readonly<Record<string, Partial<M2fShape>>> = {
    'grouped convolutions, strides on the first one': { groups: 2, isStrideIn1x1: true },
    'a deeper backbone': { blocks: [3, 4, 23, 3] },
    'a mask decoder of another width': { hidden: 48, maskWidth: 48, heads: 8, convs: 64 },
    'as few layers as there can be, one query': { encoderLayers: 1, decoderLayers: 3, queries: 1 },
    'more layers than levels, many queries': { encoderLayers: 3, decoderLayers: 7, queries: 33, feedForward: 100 },
    'padding to multiples of 64': { divisibility: 64 },
    'other colours': { mean: [103.5, 116.25, 123.7], std: [1, 57.375, 58.4] },
  };
  for (const [name, change] of Object.entries(shapes)) {
    it(`gives the values of the formulas: ${name}`, () => checkImages(randomM2f({ ...TINY, ...change }, 3), [[50, 70]]));
  }
});
