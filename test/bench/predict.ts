import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { basename } from 'node:path';
import sharp from 'sharp';
import type { InferenceClient, Prediction } from '../../clients/inference-client.ts';
import { Stage } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { collectGarbage } from './garbage.ts';
import { InProcess } from './in-process.ts';
import { memoryOfTree } from './memory.ts';
import { ammModel, realMicrograph, unpack } from './model.ts';
import { startServices } from './services.ts';
import { formatSpread, ratiosOf, spreadOf } from './statistics.ts';

const ROUNDS = 40;
const WARM_UP_ROUNDS = 8;
/** Three were too few: one slow run on the colours made the median. */
const PER_PIXEL_ROUNDS = 15;
const PER_PIXEL_WARM_UP_ROUNDS = 2;
/** Images of one measurement of throughput. */
const BATCH = 24;
const BATCH_ROUNDS = 7;

interface Round {
  readonly decodeMs: number;
  readonly inProcessMs: number;
  readonly serviceMs: number;
  readonly stages: ReadonlyMap<Stage, number>;
}

/**
 * Predict with an AMM classifier on one micrograph, through gRPC: against sharp decoding the same file, against the same
 * pipeline called in this process, and its model stage against the model on every pixel. `args`: the image; default a real
 * micrograph of the reference data.
 */
export async function benchPredict(args: readonly string[]): Promise<void> {
  const path = args[0] ?? realMicrograph();
  const image = await readFile(path);
  const model = ammModel();
  await using unpacked = await unpack(model);
  const inProcess = await InProcess.start(unpacked.spec);
  await using services = await startServices();
  const label = await services.release(model);

  console.log(`${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}`);
  console.log(`image ${basename(path)}, ${image.byteLength} bytes; classifier ${label} (${model.origin})\n`);

  const rounds: Round[] = [];
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round += 1) {
    const measured = await measureRound(image, inProcess, services.inference, model.name);
    if (round >= 0) {
      rounds.push(measured);
    }
  }
  printRounds(rounds);
  await printModelStage(inProcess, image);
  await printThroughput(services.inference, image, model.name);
  console.log('\npeak memory, MiB');
  for (const { what, pid } of services.processes) {
    const [main, ...children] = memoryOfTree(pid);
    console.log(
      `  ${what}: ${main?.peakMib.toFixed(0) ?? '?'}${children.length > 0 ? `; engines: ${children.map(({ peakMib }) => peakMib.toFixed(0)).join(', ')}` : ''}`,
    );
  }
}

async function measureRound(image: Buffer, inProcess: InProcess, inference: InferenceClient, model: string): Promise<Round> {
  const decodeMs = await time(() => sharp(image).raw().toBuffer());
  const inProcessMs = await time(() => inProcess.predict(image));
  let prediction: Prediction | undefined;
  const serviceMs = await time(async () => {
    prediction = await inference.predictFlakes(image, { classification: model });
  });
  const stages = new Map(
    prediction?.summary.timings.map(({ stage, duration }) => [
      stage,
      Number(duration?.seconds ?? 0n) * 1000 + (duration?.nanos ?? 0) / 1e6,
    ]),
  );
  return { decodeMs, inProcessMs, serviceMs, stages };
}

function printRounds(rounds: readonly Round[]): void {
  const column = (of: (round: Round) => number): number[] => rounds.map(of);
  const decode = column(({ decodeMs }) => decodeMs);
  const inProcess = column(({ inProcessMs }) => inProcessMs);
  const service = column(({ serviceMs }) => serviceMs);
  const line = (what: string, values: readonly number[], digits = 1): void =>
    console.log(`  ${what.padEnd(52)} ${formatSpread(spreadOf(values), digits)}`);
  console.log(`${rounds.length} rounds, each in turn; median (quartiles)`);
  line('sharp alone decodes the file, ms', decode);
  line('the pipeline in this process, ms', inProcess);
  line('the service through gRPC, ms', service);
  line('service / sharp alone (aim: 3 or less)', ratiosOf(service, decode), 2);
  line('service / pipeline in this process (1.15 or less)', ratiosOf(service, inProcess), 2);
  console.log('\nsplit of the service, ms');
  const names: [string, Stage][] = [
    ['queue', Stage.STAGE_QUEUE],
    ['decode', Stage.STAGE_DECODE],
    ['distinct colours, background, contrast', Stage.STAGE_COLOURS],
    ['model', Stage.STAGE_CLASSIFY],
    ['class map', Stage.STAGE_CLASS_MAP],
    ['geometry and run lengths', Stage.STAGE_GEOMETRY],
  ];
  for (const [what, stage] of names) {
    line(
      what,
      column(({ stages }) => stages.get(stage) ?? 0),
    );
  }
  line(
    'the rest: messages, processes, encoding',
    column(({ serviceMs, stages }) => serviceMs - [...stages.values()].reduce((sum, ms) => sum + ms, 0)),
  );
}

async function printModelStage(inProcess: InProcess, image: Buffer): Promise<void> {
  const rows = await inProcess.contrastRows(image);
  const colours: number[] = [];
  const pixels: number[] = [];
  for (let round = -PER_PIXEL_WARM_UP_ROUNDS; round < PER_PIXEL_ROUNDS; round += 1) {
    const coloursMs = await time(() => inProcess.classify(rows.ofColours));
    const pixelsMs = await time(() => inProcess.classify(rows.ofPixels));
    if (round >= 0) {
      colours.push(coloursMs);
      pixels.push(pixelsMs);
    }
  }
  console.log(
    `\nmodel on ${rows.ofColours.length / 3} colours against ${rows.ofPixels.length / 3} pixels, ${PER_PIXEL_ROUNDS} rounds`,
  );
  console.log(`  colours, ms   ${formatSpread(spreadOf(colours))}`);
  console.log(`  pixels, ms    ${formatSpread(spreadOf(pixels))}`);
  console.log(`  pixels / colours (20 or more)   ${formatSpread(spreadOf(ratiosOf(pixels, colours)))}`);
}

async function printThroughput(inference: InferenceClient, image: Buffer, model: string): Promise<void> {
  const run = (atOnce: number): Promise<number> =>
    time(async () => {
      let left = BATCH;
      const worker = async (): Promise<void> => {
        while (left > 0) {
          left -= 1;
          await inference.predictFlakes(image, { classification: model });
        }
      };
      await Promise.all(Array.from({ length: atOnce }, worker));
    });
  const one: number[] = [];
  const two: number[] = [];
  await run(2);
  for (let round = 0; round < BATCH_ROUNDS; round += 1) {
    one.push(await run(1));
    two.push(await run(2));
  }
  const perSecond = (values: readonly number[]): number[] => values.map((ms) => (BATCH * 1000) / ms);
  console.log(`\nthroughput, ${BATCH} images a run, ${BATCH_ROUNDS} rounds in turn, images/s`);
  console.log(`  one at a time   ${formatSpread(spreadOf(perSecond(one)))}`);
  console.log(`  two at once     ${formatSpread(spreadOf(perSecond(two)))}`);
  console.log(`  two / one       ${formatSpread(spreadOf(ratiosOf(one, two)), 2)}`);
}

/** Milliseconds. Garbage is collected first: no measurement pays for what the one before it left. */
async function time(work: () => Promise<unknown>): Promise<number> {
  collectGarbage();
  const started = performance.now();
  await work();
  return performance.now() - started;
}
