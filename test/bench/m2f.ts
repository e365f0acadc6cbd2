import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { InferenceSession } from 'onnxruntime-node';
import { importBundle } from '../../clients/import/import-bundle.ts';
import { openFolderSource } from '../../clients/import/sources/folder-source.ts';
import { FRAME_PIXELS, peakBytes } from '../../inference/engine/heavy-model.ts';
import { OnnxSegmenter, SEGMENTER_SESSION } from '../../inference/engine/onnx-segmenter.ts';
import { OnnxSession } from '../../inference/engine/onnx-session.ts';
import { SharpDecoder } from '../../inference/engine/sharp-decoder.ts';
import { ColourIndex } from '../../inference/predict/colours.ts';
import { predict } from '../../inference/predict/predict.ts';
import type { Segmenter } from '../../inference/predict/segmenter.ts';
import type { ServableSpec } from '../../inference/rollout/servable.ts';
import { collectGarbage } from '../../infra/process/garbage-collection.ts';
import { servingArtifacts } from '../../proto/wire/manifest.ts';
import { writeCheckpoint } from '../support/m2f/checkpoint.ts';
import { type Golden, readGolden } from '../support/m2f/goldens.ts';
import { imported } from '../support/m2f/m2f-servable.ts';
import { M2F_SESSION_OPTIONS, runSession } from '../support/m2f/run-m2f.ts';
import { synthFullPath, synthFullTensors } from '../support/m2f/synth-full.ts';
import { referencePath } from '../support/reference-data.ts';
import { formatSpread, ratiosOf, spreadOf } from './statistics.ts';

const THREADS = M2F_SESSION_OPTIONS.intraOpNumThreads;
/** The first runs of a session touch its memory for the first time and take up to twice as long. */
const WARM_UP_RUNS = 2;
const QUERIES = [10, 100] as const;
const MIB = 2 ** 20;

interface Ran {
  readonly found: string;
  /** How much of it the run of the graph took. */
  readonly graphMs: number;
}

type Run = () => Promise<Ran>;

/**
 * `npm run bench m2f [ROUNDS]`: a full-size Mask2Former model at 1200 x 1920 on two threads. The whole of a prediction in this
 * process, from the encoded image to flakes, against the bare ONNX Runtime run of the same graph, warm, in turn, each in every place
 * of a round (a run after one that left a core idle may be faster), every other round in reverse; and against the graph's run within
 * the same prediction. These share one session: two sessions of one graph differ by up to 10 % for as long as they live, however they
 * were created. One that ONNX Runtime itself read from the files runs beside them to show that. Then each alone in a process of its
 * own, for its memory.
 */
export async function benchM2f(args: readonly string[]): Promise<void> {
  const [first = '8', folder = ''] = args;
  const golden = await readGolden('SynthFull_full');
  if (first === 'bare' || first === 'ours') {
    return runAlone(first, JSON.parse(await readFile(join(folder, 'spec.json'), 'utf8')) as ServableSpec, golden);
  }
  const temporary = await mkdtemp(join(tmpdir(), 'maskterial-bench-m2f-'));
  try {
    const spec = await importFull(temporary);
    await writeFile(join(temporary, 'spec.json'), JSON.stringify(spec));
    await runInTurn(spec, golden, Number(first));
    for (const kind of ['bare', 'ours']) {
      const child = [...process.execArgv, process.argv[1] ?? '', 'm2f', kind, temporary];
      const { stdout } = await promisify(execFile)(process.execPath, child);
      console.log(`${kind} alone: ${stdout.trim()}`);
    }
    console.log(`counted for an engine: ${(peakBytes(spec.manifest) / MIB).toFixed(0)} MiB at its peak`);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function importFull(folder: string): Promise<ServableSpec> {
  const { signal } = new AbortController();
  await writeFile(join(folder, 'config.yaml'), await readFile(synthFullPath('config.yaml')));
  writeCheckpoint(join(folder, 'model_final.pth'), synthFullTensors());
  const source = await openFolderSource(folder, signal);
  try {
    return await imported(folder, 'SynthFull:1', await importBundle(source, { signal }));
  } finally {
    await source.close();
  }
}

async function runInTurn(spec: ServableSpec, golden: Golden, rounds: number): Promise<void> {
  const session = await loadSession(spec);
  const runs: readonly (readonly [string, Run])[] = [
    ['bare', sharedRun(session, golden)],
    ...(await ourRuns(session, golden)).map((run, index) => [`ours, ${QUERIES[index]} queries`, run] as const),
    ['bare, another session', await bareRun(spec, golden)],
  ];
  const times = runs.map(() => ({ seconds: new Array<number>(), graphSeconds: new Array<number>() }));
  for (let round = 0; round < rounds + WARM_UP_RUNS; round += 1) {
    const order = [...runs.entries()];
    const rotated = [...order.slice(round % order.length), ...order.slice(0, round % order.length)];
    for (const [index, [name, run]] of round % 2 === 0 ? rotated : rotated.toReversed()) {
      const started = performance.now();
      const { found, graphMs } = await run();
      if (round >= WARM_UP_RUNS) {
        times[index]?.seconds.push((performance.now() - started) / 1000);
        times[index]?.graphSeconds.push(graphMs / 1000);
      } else if (round === 0) {
        console.log(`${name}: ${found}`);
      }
    }
  }
  for (const [index, [name]] of runs.entries()) {
    const { seconds = [], graphSeconds = [] } = times[index] ?? {};
    const toBare = formatSpread(spreadOf(ratiosOf(seconds, times[0]?.seconds ?? [])), 3);
    const toGraph = formatSpread(spreadOf(ratiosOf(seconds, graphSeconds)), 3);
    console.log(
      `${name}: ${formatSpread(spreadOf(seconds), 2)} s, ${toBare} of the bare run, ${toGraph} of the graph's run within it`,
    );
  }
}

async function runAlone(kind: 'bare' | 'ours', spec: ServableSpec, golden: Golden): Promise<void> {
  const [run] = kind === 'bare' ? [await bareRun(spec, golden)] : await ourRuns(await loadSession(spec), golden);
  for (let round = 0; round < WARM_UP_RUNS + 1; round += 1) {
    await run?.();
  }
  const { rss } = process.memoryUsage();
  console.log(`peak ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB, ${(rss / MIB).toFixed(0)} MiB after`);
}

/** From the files, as ONNX Runtime itself reads them. */
async function bareRun({ manifest, paths }: ServableSpec, { image }: Golden): Promise<Run> {
  const graph = manifest.artifacts.find(({ path }) => path === manifest.graph.path);
  const session = await InferenceSession.create((graph && paths[graph.digest]) ?? '', M2F_SESSION_OPTIONS);
  return async () => {
    const started = performance.now();
    const { classLogits } = await runSession(session, image);
    return { found: `${classLogits.length / 2} queries`, graphMs: performance.now() - started };
  };
}

function sharedRun(session: OnnxSession, { image }: Golden): Run {
  const input = { data: image.data, shape: [image.height, image.width, 3] };
  return async () => {
    const started = performance.now();
    const outputs = await session.run({ image: input }, ['class_logits', 'mask_logits']);
    return { found: `${outputs.get('class_logits')?.shape[0]} queries`, graphMs: performance.now() - started };
  };
}

/** The whole of a prediction, of whose queries only so many of the surest are above the threshold, and all of these are flakes. */
async function ourRuns(session: OnnxSession, golden: Golden): Promise<Run[]> {
  const segmenter = new OnnxSegmenter(session);
  collectGarbage();
  await segmenter.warmUp(FRAME_PIXELS);
  const decoder = new SharpDecoder({ maxPixels: 50_000_000 });
  const { image: name } = JSON.parse(await readFile(referencePath('m2f', 'goldens', golden.name, 'meta.json'), 'utf8')) as {
    readonly image: string;
  };
  const bytes = await readFile(referencePath('images', name));
  const colourIndex = new ColourIndex();
  const thresholds = { scoreThreshold: 0, minClassOccupancy: 0.5, sizeThreshold: 200 };
  const settings = { thresholds, includeReference: false, classNames: new Map<number, string>() };
  return QUERIES.map((queries) => {
    return async () => {
      let graphMs = 0;
      const timed: Segmenter = {
        segment: async (image) => {
          const started = performance.now();
          const logits = await segmenter.segment(image);
          graphMs = performance.now() - started;
          return logits;
        },
      };
      const deps = { decoder, segmenter: withSurest(timed, queries), colourIndex };
      const { flakes, timings } = await predict(bytes, deps, settings, () => undefined, new AbortController().signal);
      const stages = timings.map(({ stage, durationMs }) => `${stage} ${durationMs.toFixed(0)} ms`);
      return { found: `${flakes.length} flakes, ${stages.join(', ')}`, graphMs };
    };
  });
}

async function loadSession({ manifest, paths, label }: ServableSpec): Promise<OnnxSession> {
  const files = await Promise.all(
    servingArtifacts(manifest).map(async ({ path, digest }) => ({ path, data: await readFile(paths[digest] ?? '') })),
  );
  const graph = files.find(({ path }) => path === manifest.graph.path)?.data ?? new Uint8Array();
  const weights = files.filter(({ path }) => path !== manifest.graph.path);
  return OnnxSession.create({ graph, weights, checks: [], manifest, label }, { threads: THREADS, ...SEGMENTER_SESSION });
}

/** All other queries are as good as sure that there is nothing: the class score of each is 0. */
function withSurest(segmenter: Segmenter, queries: number): Segmenter {
  return {
    segment: async (image) => {
      const logits = await segmenter.segment(image);
      const { classLogits } = logits;
      const margins = Array.from({ length: logits.queries }, (_, query) => ({
        query,
        margin: (classLogits[query * 2] ?? 0) - (classLogits[query * 2 + 1] ?? 0),
      }));
      for (const { query } of margins.toSorted((a, b) => b.margin - a.margin).slice(queries)) {
        classLogits.set([-1000, 1000], query * 2);
      }
      return logits;
    },
  };
}
