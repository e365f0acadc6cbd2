import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { ImportedBundle } from '../../clients/import/import-bundle.ts';
import { type RunTensors, runGoldenCheck } from '../../inference/engine/golden-check.ts';
import { CHECK_MEDIA_TYPE, type CheckData, type GoldenCheck, parseCheck, typeOf } from '../../proto/wire/golden-check.ts';
import { WEIGHTS_MEDIA_TYPE } from '../../proto/wire/manifest.ts';
import { collect } from './bundle-files.ts';

/** The check that an import wrote into its version. */
export async function checkOf({ manifest, files }: ImportedBundle): Promise<GoldenCheck | undefined> {
  const artifact = manifest.artifacts.find(({ mediaType }) => mediaType === CHECK_MEDIA_TYPE);
  const file = files.find(({ path }) => path === artifact?.path);
  return file && parseCheck(await collect(file.read()), 'test');
}

/** Has the graph of an import reproduce a check, its own unless another is given. */
export async function runCheckOf(bundle: ImportedBundle, check?: GoldenCheck): Promise<void> {
  const its = check ?? (await checkOf(bundle));
  const [graph] = bundle.files;
  if (its === undefined || graph === undefined) {
    throw new Error('an import without a check');
  }
  const weights = bundle.manifest.artifacts.filter(({ mediaType }) => mediaType === WEIGHTS_MEDIA_TYPE);
  const paths = new Set(weights.map(({ path }) => path));
  const externalData = [];
  for (const { path, read } of bundle.files.filter((file) => paths.has(file.path))) {
    externalData.push({ path, data: await collect(read()) });
  }
  const session = await InferenceSession.create(await collect(graph.read()), {
    intraOpNumThreads: 1,
    ...(externalData.length > 0 && { externalData }),
  });
  const run: RunTensors = async (inputs, outputs) => {
    const feeds = inputs.map(({ name, shape, data }) => [name, new Tensor(typeOf(data), data, shape)] as const);
    const results = await session.run(Object.fromEntries(feeds), [...outputs]);
    return new Map(Object.entries(results).map(([name, { dims, data }]) => [name, { shape: dims, data: data as CheckData }]));
  };
  try {
    await runGoldenCheck(its, run, 'test');
  } finally {
    await session.release();
  }
}
