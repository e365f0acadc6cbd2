import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import sharp from 'sharp';
import { CLASSIFIED_LAYERS } from '../../../clients/demo/classifier.ts';
import { DEMO_MODEL, type DemoDeps, runDemo } from '../../../clients/demo/demo.ts';
import { judgePrediction } from '../../../clients/demo/judge.ts';
import type { Sample, Terrace } from '../../../clients/demo/sample.ts';
import { createScene, UM_PER_PX } from '../../../clients/demo/scene.ts';
import { Flake } from '../../../proto/gen/maskterial/inference/v1/flake.ts';
import {
  Accepted,
  GetStatusResponse,
  Summary,
  type UsedModel,
} from '../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { Version } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import { encodeRunLengths } from '../../../proto/wire/run-length.ts';
import { isError } from '../../support/service-errors.ts';

const SEED = 3;
const DIGEST = `sha256:${'a'.repeat(64)}`;
const scene = createScene(SEED);
const { sample } = scene;
const perfect = sample.terraces
  .filter(({ layers, areaPx }) => CLASSIFIED_LAYERS.includes(layers) && areaPx >= 200)
  .map((terrace) => flakeOf(terrace, sample));

/** A perfect analysis's flake. */
function flakeOf({ number, layers, areaPx, centre }: Terrace, { width, height, terraceMap }: Sample): Flake {
  const runs = [0];
  let box = { x: width, y: height, right: 0, bottom: 0 };
  let isInside = false;
  for (let x = 0; x < width; x += 1) {
    for (let y = 0; y < height; y += 1) {
      if ((terraceMap[y * width + x] === number) !== isInside) {
        isInside = !isInside;
        runs.push(0);
      }
      runs[runs.length - 1] = (runs.at(-1) ?? 0) + 1;
      if (isInside) {
        box = { x: Math.min(box.x, x), y: Math.min(box.y, y), right: Math.max(box.right, x), bottom: Math.max(box.bottom, y) };
      }
    }
  }
  return Flake.fromPartial({
    index: number,
    classIndex: layers,
    layerName: `${layers} layers`,
    areaPx,
    areaUm2: areaPx * UM_PER_PX ** 2,
    centre,
    box: { x: box.x, y: box.y, width: box.right - box.x + 1, height: box.bottom - box.y + 1 },
    mask: { width, height, counts: encodeRunLengths(runs) },
  });
}

interface Answer {
  readonly flakes?: readonly Flake[];
  readonly manifestDigest?: string;
  /** What the server says of the alias, status by status. */
  readonly statuses?: readonly GetStatusResponse[];
}

const served = GetStatusResponse.fromPartial({
  aliases: [{ model: DEMO_MODEL, alias: 'production', desiredVersion: 1, servingVersion: 1 }],
});
const fetching = GetStatusResponse.fromPartial({
  aliases: [{ model: DEMO_MODEL, alias: 'production', desiredVersion: 1, servingVersion: 0 }],
});

/** Services that answer as told, and a record of what they were asked. */
function fakeServices({ flakes = perfect, manifestDigest = DIGEST, statuses = [served] }: Answer): {
  deps: DemoDeps;
  calls: string[];
  printed: string[];
} {
  const calls: string[] = [];
  const printed: string[] = [];
  const waiting = [...statuses];
  const models = [{ model: DEMO_MODEL, version: 1, manifestDigest }];
  const deps: DemoDeps = {
    publishBundle: async (folder, model) => {
      calls.push(`publish ${model} ${(await readdir(folder)).join(' ')}`);
      return Version.fromPartial({ model, version: 1, manifest: { digest: DIGEST, sizeBytes: 1n } });
    },
    promote: async (model, version, alias) => {
      calls.push(`promote ${model}:${version} ${alias}`);
    },
    inference: {
      getStatus: async () => {
        calls.push('status');
        return waiting.shift() ?? served;
      },
      predictFlakes: async (_image, options) => {
        calls.push(`predict ${options?.classification} ${options?.sizeThreshold} ${options?.umPerPx}`);
        const summary = Summary.fromPartial({ flakeCount: flakes.length, umPerPx: UM_PER_PX, models });
        return { accepted: Accepted.fromPartial({ models }), flakes, summary };
      },
    },
    sleep: async () => {},
    print: (line) => printed.push(line),
  };
  return { deps, calls, printed };
}

describe('runDemo', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'demo-test-'));
  });
  after(() => rm(folder, { recursive: true }));

  const run = (answer: Answer): Promise<boolean> =>
    runDemo(fakeServices(answer).deps, { scene, folder }, AbortSignal.timeout(60_000));

  it('publishes, promotes, waits until it is served, predicts, and writes what it says', async () => {
    const { deps, calls, printed } = fakeServices({ statuses: [GetStatusResponse.fromPartial({}), fetching, served] });
    assert.equal(await runDemo(deps, { scene, folder }, AbortSignal.timeout(60_000)), true);
    assert.deepEqual(calls, [
      `publish ${DEMO_MODEL} contrast_dict.json`,
      `promote ${DEMO_MODEL}:1 production`,
      'status',
      'status',
      'status',
      `predict ${DEMO_MODEL} 200 0.3844`,
    ]);
    const overlay = join(folder, 'overlay.png');
    assert.ok(printed.some((line) => line.includes(overlay)));
    assert.equal((await sharp(await readFile(overlay)).metadata()).format, 'png');
    assert.equal((await sharp(await readFile(join(folder, 'micrograph.jpg'))).metadata()).width, 1920);
    const bundle: unknown = JSON.parse(await readFile(join(folder, DEMO_MODEL, 'contrast_dict.json'), 'utf8'));
    assert.deepEqual(bundle, scene.classifier);
  });

  it('says no when the answer disagrees', async () => {
    assert.equal(await run({ flakes: perfect.slice(1) }), false);
  });

  it('does not wait for a version that could not be loaded', async () => {
    const failed = GetStatusResponse.fromPartial({
      servables: [{ model: DEMO_MODEL, version: 1, error: { code: 9, message: 'no' } }],
    });
    await assert.rejects(run({ statuses: [failed] }), isError('failed-precondition', 'LOAD_FAILED'));
  });
});

describe('judgePrediction', () => {
  const published = Version.fromPartial({ model: DEMO_MODEL, version: 1, manifest: { digest: DIGEST, sizeBytes: 1n } });
  const own = { model: DEMO_MODEL, version: 1, manifestDigest: DIGEST };
  const problems = (flakes: readonly Flake[], models: readonly Partial<UsedModel>[] = [own]): number =>
    judgePrediction(sample, { flakes, summary: Summary.fromPartial({ models: [...models] }) }, published).problems.length;
  const [first, ...rest] = perfect;
  assert.ok(first !== undefined);

  it('finds nothing wrong with a perfect answer', () => {
    assert.equal(problems(perfect), 0);
  });

  it('finds wrong layers, a missing flake, and one too many', () => {
    assert.equal(problems([{ ...first, classIndex: 9 }, ...rest]), 1);
    assert.equal(problems(rest), 1);
    assert.equal(problems([...perfect, first]), 1);
    assert.equal(problems([]), perfect.length);
  });

  it('finds a flake without area, centre or mask', () => {
    for (const field of ['areaUm2', 'centre', 'mask']) {
      assert.ok(problems([{ ...first, [field]: undefined }, ...rest]) > 0, field);
    }
  });

  it('finds an answer of another version, of more than one, and of none', () => {
    assert.equal(problems(perfect, [{ ...own, manifestDigest: `sha256:${'b'.repeat(64)}` }]), 1);
    assert.equal(problems(perfect, [{ ...own, version: 2 }]), 1);
    assert.equal(problems(perfect, [{ ...own, model: 'Other' }]), 1);
    assert.equal(problems(perfect, [own, own]), 1);
    assert.equal(problems(perfect, []), 1);
  });
});
