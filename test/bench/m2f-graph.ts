import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { InferenceSession } from 'onnxruntime-node';
import { buildM2fGraph, type M2fGraph } from '../../clients/import/m2f/build-graph.ts';
import type { Checkpoint } from '../../clients/import/m2f/graph-context.ts';
import { parseM2fSettings } from '../../clients/import/m2f/settings.ts';
import { ModelProto } from '../../proto/gen/onnx/onnx.ts';
import { compareWithGolden, readGolden } from '../support/m2f/goldens.ts';
import { buildPlainM2fGraph } from '../support/m2f/plain-graph.ts';
import { type Image, M2F_SESSION_OPTIONS, runSession } from '../support/m2f/run-m2f.ts';
import { synthFullPath, synthFullTensors } from '../support/m2f/synth-full.ts';
import { formatSpread, ratiosOf, spreadOf } from './statistics.ts';

/** `fixed` is the product's graph for one image size: what ONNX Runtime then folds while loading. */
const KINDS = ['plain', 'product', 'fixed'] as const;
type Kind = (typeof KINDS)[number];
/** The first runs of a session touch its memory for the first time and take up to twice as long. */
const WARM_UP_RUNS = 2;

/**
 * `npm run bench m2f-graph [ROUNDS]`: the bare run of a full-size Mask2Former graph at 1200 x 1920, the product's against the plain
 * one, warm and in turn in one process; then each alone in a process of its own, for its memory.
 */
export async function benchM2fGraph(args: readonly string[]): Promise<void> {
  const [first = '5', folder = '', denormals = '1'] = args;
  const golden = await readGolden('SynthFull_full');
  if (isKind(first)) {
    return runAlone(join(folder, first), golden.image, denormals);
  }
  const temporary = await mkdtemp(join(tmpdir(), 'maskterial-bench-m2f-'));
  try {
    const checkpoint = readCheckpoint();
    for (const kind of KINDS) {
      await writeGraph(kind, join(temporary, kind), checkpoint, golden.image);
    }
    await runInTurn(temporary, golden.image, Number(first), (output) => JSON.stringify(compareWithGolden(golden, output)));
    for (const [kind, zero] of [...KINDS.map((each) => [each, '1'] as const), ['product', '0'] as const]) {
      const child = [...process.execArgv, process.argv[1] ?? '', 'm2f-graph', kind, temporary, zero];
      const { stdout } = await promisify(execFile)(process.execPath, child);
      console.log(`${kind} alone, denormals ${zero === '1' ? 'as zero' : 'kept'}: ${stdout.trim()}`);
    }
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

function isKind(text: string): text is Kind {
  return KINDS.some((kind) => kind === text);
}

type Compare = (output: Awaited<ReturnType<typeof runSession>>) => string;

async function runInTurn(folder: string, image: Image, rounds: number, compare: Compare): Promise<void> {
  const sessions: InferenceSession[] = [];
  for (const kind of KINDS) {
    const started = performance.now();
    sessions.push(await InferenceSession.create(join(folder, kind, 'model.onnx'), M2F_SESSION_OPTIONS));
    const { size } = await stat(join(folder, kind, 'model.onnx'));
    console.log(`${kind}: loaded in ${((performance.now() - started) / 1000).toFixed(2)} s, graph of ${size} bytes`);
  }
  const seconds = KINDS.map((): { readonly wall: number[]; readonly cpu: number[] } => ({ wall: [], cpu: [] }));
  for (let round = 0; round < rounds + WARM_UP_RUNS; round += 1) {
    for (const [index, session] of sessions.entries()) {
      const { wall, cpu, output } = await timed(session, image);
      if (round === 0) {
        console.log(`${KINDS[index]}: ${compare(output)}`);
      } else if (round >= WARM_UP_RUNS) {
        seconds[index]?.wall.push(wall);
        seconds[index]?.cpu.push(cpu);
      }
    }
  }
  const [plain] = seconds;
  for (const [index, { wall, cpu }] of seconds.entries()) {
    const ratios = [ratiosOf(plain?.wall ?? [], wall), ratiosOf(plain?.cpu ?? [], cpu)].map((each) =>
      formatSpread(spreadOf(each), 2),
    );
    console.log(
      `${KINDS[index]}: ${formatSpread(spreadOf(wall), 2)} s, ${formatSpread(spreadOf(cpu), 2)} s of processor time; plain / this ${ratios.join(', ')}`,
    );
  }
  for (const session of sessions) {
    await session.release();
  }
}

async function runAlone(folder: string, image: Image, denormals: string): Promise<void> {
  const session = await InferenceSession.create(join(folder, 'model.onnx'), {
    ...M2F_SESSION_OPTIONS,
    extra: { session: { set_denormal_as_zero: denormals } },
  });
  const cpu: number[] = [];
  for (let round = 0; round < WARM_UP_RUNS + 3; round += 1) {
    cpu.push((await timed(session, image)).cpu);
  }
  const { rss } = process.memoryUsage();
  const peakMib = process.resourceUsage().maxRSS / 1024;
  console.log(
    `peak ${peakMib.toFixed(0)} MiB, ${(rss / 2 ** 20).toFixed(0)} MiB after, ${formatSpread(spreadOf(cpu.slice(WARM_UP_RUNS)), 2)} s of processor time`,
  );
}

async function timed(
  session: InferenceSession,
  image: Image,
): Promise<{ readonly wall: number; readonly cpu: number; readonly output: Awaited<ReturnType<typeof runSession>> }> {
  const before = process.cpuUsage();
  const started = performance.now();
  const output = await runSession(session, image);
  const wall = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { wall, cpu: (user + system) / 1e6, output };
}

function readCheckpoint(): Checkpoint {
  const tensors = new Map(synthFullTensors().map(({ name, values }) => [name, values]));
  return {
    file: 'model_final.pth',
    tensor: async (name) => tensors.get(name)?.() ?? new Float32Array(0),
  };
}

async function writeGraph(kind: Kind, folder: string, checkpoint: Checkpoint, image: Image): Promise<void> {
  const settings = parseM2fSettings(await readFile(synthFullPath('config.yaml')), 'config.yaml');
  const { graph, files }: M2fGraph = (kind === 'plain' ? buildPlainM2fGraph : buildM2fGraph)(settings, checkpoint);
  await mkdir(folder);
  const locations = new Map<string, string>();
  for (const file of files) {
    const described = await file.describe();
    locations.set(...file.location(described));
    await pipeline(Readable.from(described.read()), createWriteStream(join(folder, described.path)));
  }
  const bytes = graph.build(kind, {}, locations);
  await writeFile(join(folder, 'model.onnx'), kind === 'fixed' ? withFixedSize(bytes, image) : bytes);
}

function withFixedSize(bytes: Uint8Array, { height, width }: Image): Uint8Array {
  const model = ModelProto.decode(bytes);
  const shape = model.graph?.input[0]?.type?.value?.value.shape;
  if (shape !== undefined) {
    shape.dim = [height, width, 3].map((size) => ({ value: { $case: 'dimValue', value: BigInt(size) } }));
  }
  return ModelProto.encode(model).finish();
}
