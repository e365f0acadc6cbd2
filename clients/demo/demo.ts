import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Version } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { DEFAULT_ALIAS } from '../../proto/wire/names.ts';
import { drawOverlay } from '../cli/overlay/overlay.ts';
import type { InferenceClient } from '../inference-client.ts';
import { DEMO_EXPECTATION, judgePrediction } from './judge.ts';
import { encodeMicrograph } from './micrograph.ts';
import { formatClassifier, formatComparison, formatPrediction } from './report.ts';
import { OXIDE_NM, type Scene, UM_PER_PX } from './scene.ts';

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
  readonly scene: Scene;
  /** Where the bundle, the micrograph and the overlay are written; created if it is not there. */
  readonly folder: string;
}

export const DEMO_MODEL = 'CLS_GMM_Demo';

const STATUS_PAUSE_MS = 50;

/**
 * Makes a picture and a classifier for it from optics, publishes and promotes the classifier, predicts on the picture and
 * compares. True only when every flake that was put in was found with its layers in its place, nothing else was reported, and
 * the answer came from the very version that was published.
 */
export async function runDemo(deps: DemoDeps, { scene, folder }: DemoSettings, signal: AbortSignal): Promise<boolean> {
  const { print } = deps;
  const files = await writeInputs(scene, folder);
  print(
    `micrograph  ${scene.sample.width} x ${scene.sample.height}, graphene on ${OXIDE_NM} nm of SiO2 on silicon, by thin-film optics`,
  );
  print('classifier  optical contrast of the layers by the same optics, no picture seen:');
  print(formatClassifier(scene.classifier, ' '.repeat(12)).trimEnd());

  const version = await deps.publishBundle(files.bundle, DEMO_MODEL, signal);
  print(`published   ${version.model}:${version.version}, manifest ${version.manifest?.digest ?? ''}`);
  await deps.promote(version.model, version.version, DEFAULT_ALIAS, signal);
  await untilServed(deps, version, signal);
  print(`promoted    ${version.model}@${DEFAULT_ALIAS}, and the inference server has it`);

  const prediction = await deps.inference.predictFlakes(
    { path: files.micrograph },
    { classification: version.model, sizeThreshold: DEMO_EXPECTATION.sizeThresholdPx, umPerPx: UM_PER_PX, signal },
  );
  print(`predicted   ${formatPrediction(prediction.summary)}`);
  const comparison = judgePrediction(scene.sample, prediction, version);
  print(`\n${formatComparison(comparison, UM_PER_PX)}`);

  const { matches, problems } = comparison;
  const overlay = join(folder, 'overlay.png');
  const { micrograph, image } = files;
  await writeFile(overlay, await drawOverlay({ image, name: 'micrograph.jpg', ...prediction }));
  print(`overlay     ${overlay}`);
  print(`micrograph  ${micrograph}`);
  print(
    problems.length === 0
      ? `All ${matches.length} flakes agree in layers, position and outline, and nothing else was reported.`
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
