import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import sharp from 'sharp';
import { type Golden, readGoldens, recordOf } from '../support/goldens.ts';
import { referencePath } from '../support/reference-data.ts';
import { TestSystem } from '../support/system.ts';
import { InProcess } from './in-process.ts';
import { unpack } from './model.ts';

/** Pixels of the class map in which implementations may differ, from the reference data's README. */
const ALLOWED_PIXELS: Readonly<Record<string, number>> = { AMM: 10, GMM: 0, MLP: 0 };
const ALLOWED_SIDE_PX = 1e-3;
const L2 = 'PP_L2_2DMatGMM';

/** Observed beside allowed differences from the reference's results, image by image; flakes through gRPC. */
export async function benchGoldens(): Promise<void> {
  const goldens = readGoldens(Object.keys(ALLOWED_PIXELS));
  await using system = await TestSystem.start();
  await system.release(referencePath('bundles', 'postprocessing_models', 'L2', '2DMatGMM'), L2);
  const engines = new Map<string, InProcess>();
  console.log(
    '| image | classifier | class map px off (allowed) | flakes / golden | records equal | largest side difference, px (allowed) | with L2: flakes / golden | largest probability difference (allowed) |',
  );
  console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
  for (const golden of goldens) {
    const engine = engines.get(golden.head) ?? (await release(golden, system));
    engines.set(golden.head, engine);
    console.log(await compare(golden, engine, system));
  }
}

async function compare(golden: Golden, engine: InProcess, system: TestSystem): Promise<string> {
  const classMap = await engine.classMap(await readFile(golden.imagePath));
  const expected = await sharp(await readFile(golden.classMapPath))
    .toColourspace('b-w')
    .raw()
    .toBuffer();
  const differing = classMap.reduce((count, value, pixel) => count + (value === expected[pixel] ? 0 : 1), 0);
  const { flakes } = await system.inference.predictFlakes(
    { path: golden.imagePath },
    { classification: modelOf(golden), sizeThreshold: golden.sizeThreshold, includeReference: true },
  );
  const { flakes: judged } = await system.inference.predictFlakes(
    { path: golden.imagePath },
    {
      classification: modelOf(golden),
      postprocessing: L2,
      sizeThreshold: golden.sizeThreshold,
      scoreThreshold: golden.scoreThreshold,
    },
  );
  const probabilities = golden.judged.map(({ falsePositiveProbability }, index) =>
    Math.abs(falsePositiveProbability - (judged[index]?.falsePositiveProbability ?? Number.NaN)),
  );
  const equal = flakes.filter((flake, index) => isDeepStrictEqual(recordOf(flake), golden.flakes[index]?.dict)).length;
  const sides = golden.flakes.flatMap(({ exact }, index) => [
    Math.abs(exact.max_sidelength - (flakes[index]?.maxSidePx ?? 0)),
    Math.abs(exact.min_sidelength - (flakes[index]?.minSidePx ?? 0)),
  ]);
  const [material = '', id = ''] = golden.image.split('/');
  const cells = [
    `${material}/${id.slice(0, 8)}`,
    golden.head,
    `${differing} (${ALLOWED_PIXELS[golden.head.split('/')[0] ?? '']})`,
    `${flakes.length} / ${golden.flakes.length}`,
    `${equal} of ${golden.flakes.length}`,
    `${Math.max(0, ...sides)} (${ALLOWED_SIDE_PX})`,
    `${judged.length} / ${golden.judged.length}`,
    `${Math.max(0, ...probabilities)} (0)`,
  ];
  return `| ${cells.join(' | ')} |`;
}

/** Publishes and promotes the golden's bundle, and loads it here too. */
async function release(golden: Golden, system: TestSystem): Promise<InProcess> {
  const name = modelOf(golden);
  await system.release(golden.bundlePath, name);
  await using unpacked = await unpack({ name, path: golden.bundlePath, origin: 'reference data' });
  return await InProcess.start(unpacked.spec);
}

function modelOf({ head }: Golden): string {
  return `CLS_${head.replace('/', '_')}`;
}
