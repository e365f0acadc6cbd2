import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InferenceClient } from '../../clients/inference-client.ts';
import { writeCheckpoint } from '../support/m2f/checkpoint.ts';
import { synthFullPath, synthFullTensors } from '../support/m2f/synth-full.ts';
import { referencePath } from '../support/reference-data.ts';
import { type BenchModel, realMicrographs } from './model.ts';
import { startServices } from './services.ts';
import { formatSpread, spreadOf } from './statistics.ts';

/** What a request may name. */
interface Pipeline {
  readonly segmentation?: string;
  readonly classification?: string;
  readonly postprocessing?: string;
}

const MODELS: readonly BenchModel[] = [
  bundle('CLS_AMM_GrapheneH', 'classification_models', 'AMM', 'GrapheneH'),
  bundle('CLS_GMM_GrapheneH', 'classification_models', 'GMM', 'GrapheneH'),
  bundle('CLS_MLP_GrapheneH', 'classification_models', 'MLP', 'GrapheneH'),
  bundle('PP_L2_2DMatGMM', 'postprocessing_models', 'L2', '2DMatGMM'),
];

/** Two of one kind at once on two cores; a segmentation model takes both for itself. */
const PIPELINES: readonly { readonly pipeline: Pipeline; readonly images: number }[] = [
  { pipeline: { classification: 'CLS_AMM_GrapheneH' }, images: 60 },
  { pipeline: { classification: 'CLS_GMM_GrapheneH' }, images: 60 },
  { pipeline: { classification: 'CLS_MLP_GrapheneH' }, images: 60 },
  { pipeline: { classification: 'CLS_AMM_GrapheneH', postprocessing: 'PP_L2_2DMatGMM' }, images: 60 },
  { pipeline: { segmentation: 'SEG_M2F_SynthFull' }, images: 4 },
  { pipeline: { segmentation: 'SEG_M2F_SynthFull', classification: 'CLS_AMM_GrapheneH' }, images: 4 },
];

const ROUNDS = 3;

/** How many real micrographs an hour each pipeline does, two at once through the client. `args`: the number of rounds. */
export async function benchPipelines(args: readonly string[]): Promise<void> {
  const rounds = Number(args[0] ?? ROUNDS);
  const folder = await mkdtemp(join(tmpdir(), 'maskterial-bench-pipelines-'));
  try {
    await using services = await startServices();
    for (const model of [...MODELS, await fullSizeSegmenter(folder)]) {
      await services.release(model);
    }
    const paths = await realMicrographs();
    console.log(`${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}`);
    console.log(`${rounds} rounds, each in turn; images an hour, median (quartiles)`);
    const measured = PIPELINES.map((): number[] => []);
    for (let round = -1; round < rounds; round += 1) {
      for (const [index, { pipeline, images }] of PIPELINES.entries()) {
        const ms = await predictTwoAtOnce(services.inference, paths, pipeline, images);
        // The first round is the warm-up.
        if (round >= 0) {
          measured[index]?.push((images * 3_600_000) / ms);
        }
      }
    }
    for (const [index, { pipeline }] of PIPELINES.entries()) {
      console.log(`  ${Object.values(pipeline).join(' + ').padEnd(44)} ${formatSpread(spreadOf(measured[index] ?? []), 0)}`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function predictTwoAtOnce(
  inference: InferenceClient,
  paths: readonly string[],
  pipeline: Pipeline,
  images: number,
): Promise<number> {
  const started = performance.now();
  const left = Array.from({ length: images }, (_, index) => paths[index % paths.length] ?? '').values();
  const worker = async (): Promise<void> => {
    // Both take from the same list.
    for (const path of left) {
      await inference.predictFlakes({ path }, pipeline);
    }
  };
  await Promise.all([worker(), worker()]);
  return performance.now() - started;
}

function bundle(name: string, ...parts: readonly string[]): BenchModel {
  return { name, path: referencePath('bundles', ...parts), origin: 'reference data' };
}

/** The published shapes; what it finds means nothing, what it costs does. */
async function fullSizeSegmenter(folder: string): Promise<BenchModel> {
  await writeFile(join(folder, 'config.yaml'), await readFile(synthFullPath('config.yaml')));
  writeCheckpoint(join(folder, 'model_final.pth'), synthFullTensors());
  return { name: 'SEG_M2F_SynthFull', path: folder, origin: 'reference data' };
}
