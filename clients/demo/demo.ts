import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Flake } from '../../proto/gen/maskterial/inference/v1/flake.ts';
import type { Version } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { DEFAULT_ALIAS } from '../../proto/wire/names.ts';
import { decodeRunLengths } from '../../proto/wire/run-length.ts';
import { drawOverlay } from '../cli/overlay/overlay.ts';
import type { InferenceClient, Prediction } from '../inference-client.ts';
import { CLASSIFIED_LAYERS } from './classifier.ts';
import { compareFlakes, type Expectation, type FoundFlake } from './compare.ts';
import { encodeMicrograph } from './micrograph.ts';
import { formatClassifier, formatComparison, formatPrediction } from './report.ts';
import { createScene, OXIDE_NM, type Scene, UM_PER_PX } from './scene.ts';

/** Both services, as far as the demo uses them. */
export interface DemoDeps {
  /** Imports the bundle in `folder` and publishes it as `model`. */
  readonly publishBundle: (folder: string, model: string, signal: AbortSignal) => Promise<Version>;
  readonly promote: (model: string, version: number, alias: string, signal: AbortSignal) => Promise<void>;
  readonly inference: Pick<InferenceClient, 'getStatus' | 'predictFlakes'>;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly print: (line: string) => void;
}

export interface DemoSettings {
  readonly seed: number;
  /** Where the bundle, the micrograph and the overlay are written; created if it is not there. */
  readonly folder: string;
}

export const DEMO_MODEL = 'CLS_GMM_Demo';

const EXPECTATION: Expectation = {
  layers: CLASSIFIED_LAYERS,
  sizeThresholdPx: 200,
  umPerPx: UM_PER_PX,
  // The service's opening takes a rim of about one pixel off every flake: 8 to 11 % of the smallest.
  minIou: 0.8,
  maxCentreErrorPx: 3,
};
const STATUS_PAUSE_MS = 50;

/**
 * Makes a picture and a classifier for it from optics, publishes and promotes the classifier, predicts on the picture and
 * compares. True only when every flake that was put in was found with its layers in its place, nothing else was reported, and
 * the answer came from the very version that was published.
 */
export async function runDemo(deps: DemoDeps, { seed, folder }: DemoSettings, signal: AbortSignal): Promise<boolean> {
  const { print } = deps;
  const scene = createScene(seed);
  const files = await writeInputs(scene, folder);
  print(
    `micrograph  ${scene.sample.width} x ${scene.sample.height}, graphene on ${OXIDE_NM} nm of SiO2 on silicon, by thin-film optics (seed ${seed})`,
  );
  print('classifier  optical contrast of the layers by the same optics, no picture seen:');
  formatClassifier(scene.classifier).forEach((line) => print(`            ${line}`));

  const version = await deps.publishBundle(files.bundle, DEMO_MODEL, signal);
  print(`published   ${version.model}:${version.version}, manifest ${version.manifest?.digest ?? ''}`);
  await deps.promote(version.model, version.version, DEFAULT_ALIAS, signal);
  await untilServed(deps, version, signal);
  print(`promoted    ${version.model}@${DEFAULT_ALIAS}, and the inference server has it`);

  const prediction = await deps.inference.predictFlakes(
    { path: files.micrograph },
    { classification: version.model, sizeThreshold: EXPECTATION.sizeThresholdPx, umPerPx: UM_PER_PX, signal },
  );
  print(`predicted   ${formatPrediction(prediction.summary)}`);
  const comparison = compareFlakes(scene.sample, prediction.flakes.map(toFoundFlake), EXPECTATION);
  const problems = [...comparison.problems, ...checkVersion(prediction, version)];
  print('');
  formatComparison(comparison, UM_PER_PX).forEach(print);
  print('');

  const overlay = join(folder, 'overlay.png');
  const { micrograph, image } = files;
  await writeFile(overlay, await drawOverlay({ image, name: 'micrograph.jpg', ...prediction }));
  print(`overlay     ${overlay}`);
  print(`micrograph  ${micrograph}`);
  print(
    problems.length === 0
      ? `All ${comparison.matches.length} flakes agree in layers, position and outline, and nothing else was reported.`
      : `${problems.length} disagreements:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
  );
  return problems.length === 0;
}

async function writeInputs(
  { picture, classifier }: Scene,
  folder: string,
): Promise<{ bundle: string; micrograph: string; image: Uint8Array }> {
  const bundle = join(folder, DEMO_MODEL);
  const micrograph = join(folder, 'micrograph.jpg');
  await mkdir(bundle, { recursive: true });
  await writeFile(join(bundle, 'contrast_dict.json'), `${JSON.stringify(classifier, undefined, 2)}\n`);
  const image = await encodeMicrograph(picture, 'jpeg');
  await writeFile(micrograph, image);
  return { bundle, micrograph, image };
}

/** Promotion never waits for servers, so whoever wants to see it at work asks one. */
async function untilServed({ inference, sleep }: DemoDeps, { model, version }: Version, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { aliases, servables } = await inference.getStatus({ signal });
    if (aliases.some((entry) => entry.model === model && entry.alias === DEFAULT_ALIAS && entry.servingVersion === version)) {
      return;
    }
    const failure = servables.find((entry) => entry.model === model && entry.version === version)?.error;
    if (failure !== undefined) {
      throw new ServiceError(
        'failed-precondition',
        'LOAD_FAILED',
        `the server could not load ${model}:${version}: ${failure.message}`,
      );
    }
    await sleep(STATUS_PAUSE_MS, signal);
  }
}

/** The answer must name the version that was published, by number and by digest. */
function checkVersion({ summary }: Prediction, { model, version, manifest }: Version): string[] {
  const [used, ...others] = summary.models;
  const isSame = used?.model === model && used.version === version && used.manifestDigest === manifest?.digest;
  return isSame && others.length === 0
    ? []
    : [
        `the answer came from ${summary.models.map((entry) => `${entry.model}:${entry.version} ${entry.manifestDigest}`).join(', ') || 'no version'}`,
      ];
}

function toFoundFlake({ classIndex, areaPx, areaUm2, centre, mask }: Flake): FoundFlake {
  return {
    layers: classIndex,
    areaPx,
    areaUm2: areaUm2 ?? Number.NaN,
    centre: centre ?? { x: Number.NaN, y: Number.NaN },
    runs: decodeRunLengths(mask?.counts ?? ''),
  };
}
