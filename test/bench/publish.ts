import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, Hasher } from '../../proto/wire/digest.ts';
import { parseManifest } from '../../proto/wire/manifest.ts';
import { type AwsTestServers, needsLocalAws, registryEnv, startAwsTestServers } from '../support/aws/aws-test-store.ts';
import { type CliRun, runCliProcess } from '../support/cli-process.ts';
import { writeOriginalDeployment } from '../support/original-deployment.ts';
import { startServeProcess } from '../support/serve-process.ts';
import { memoryOfTree } from './memory.ts';
import { multipartUpload } from './multipart-upload.ts';
import { formatSpread, ratiosOf, spreadOf } from './statistics.ts';

const MATERIALS = 4;
const READ_BYTES = 1024 * 1024;

/** A file to publish, each content once. */
interface BenchFile {
  readonly path: string;
  readonly sizeBytes: number;
}

interface Pair {
  readonly name: string;
  /** What the bare way of bringing the same bytes to the same place is. */
  readonly bareName: string;
  bare(files: readonly BenchFile[], folder: string): Promise<void>;
  /** Settings of a registry with nothing in it. */
  newRegistry(folder: string): Promise<Readonly<Record<string, string>>>;
}

interface Round {
  readonly hashMs: number;
  readonly bareMs: number;
  readonly imported: Published;
  readonly again: Published;
  readonly bundles: Published;
}

interface Published {
  readonly run: CliRun;
  readonly totals: Readonly<Record<string, number>>;
  readonly registryPeakMib: number;
}

/**
 * The original deployment's eight models with their sources, made up: published as folders that an import wrote, published again,
 * and imported and published in one go; against SHA-256 over the same bytes and against the bare way to bring them there, in
 * turn. `args`: rounds, materials (of four), and `embedded` or `aws` for one of the two.
 */
export async function benchPublish(args: readonly string[]): Promise<void> {
  const rounds = Number(args[0] ?? 1);
  const materials = Number(args[1] ?? MATERIALS);
  const folder = await mkdtemp(join(tmpdir(), 'maskterial-bench-publish-'));
  let servers: AwsTestServers | undefined;
  try {
    console.log(`${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}`);
    const names = writeOriginalDeployment(join(folder, 'bundles'), materials);
    const imports: CliRun[] = [];
    for (const name of names) {
      imports.push(
        await cli(['import', join(folder, 'bundles', name), '--keep-sources', '--out', join(folder, 'imported', name)]),
      );
    }
    const files = await distinctFiles(join(folder, 'imported'), names);
    const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    console.log(
      `${names.length} models, ${(bytes / 1e6).toFixed(0)} MB in ${files.length} files of different content, sources included`,
    );
    console.log(`maskterial import, each in a process: peak ${mib(Math.max(...imports.map(({ peakBytes }) => peakBytes)))} MiB`);
    if (args[2] !== 'aws') {
      print(EMBEDDED, bytes, await measure(EMBEDDED, rounds, folder, files));
    }
    const { skip } = needsLocalAws();
    if (args[2] === 'embedded' || skip !== false) {
      console.log(`\nAWS: left out${skip === false ? '' : `, ${skip}`}`);
      return;
    }
    servers = await startAwsTestServers();
    const pair = awsPair(servers);
    print(pair, bytes, await measure(pair, rounds, folder, files));
  } finally {
    await servers?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

const EMBEDDED: Pair = {
  name: 'embedded: one folder',
  bareName: 'copying the files, flushed to disk',
  bare: async (files, folder) => {
    const target = join(folder, 'copied');
    await mkdir(target);
    for (const [index, { path }] of files.entries()) {
      const file = await open(join(target, String(index)), 'wx');
      for await (const bytes of createReadStream(path, { highWaterMark: READ_BYTES })) {
        await file.appendFile(bytes as Buffer);
      }
      await file.sync();
      await file.close();
    }
    await rm(target, { recursive: true });
  },
  newRegistry: async (folder) => {
    const data = join(folder, 'registry');
    await rm(data, { recursive: true, force: true });
    return { REGISTRY_DATA: data };
  },
};

function awsPair(servers: AwsTestServers): Pair {
  return {
    name: 'AWS: local servers for DynamoDB and S3',
    bareName: 'multipart upload by the SDK, parts of 8 MiB, four at once',
    bare: async (files) => multipartUpload(await servers.newStore(), files),
    newRegistry: async (folder) => ({
      ...servers.env,
      ...registryEnv(await servers.newStore()),
      REGISTRY_DATA: join(folder, 'unused'),
    }),
  };
}

async function measure(pair: Pair, rounds: number, folder: string, files: readonly BenchFile[]): Promise<Round[]> {
  const measured: Round[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const hashMs = await timed(() => hashAll(files));
    const bareMs = await timed(() => pair.bare(files, folder));
    const [imported, again] = await publish(pair, folder, ['imported', 'imported'], []);
    const [bundles] = await publish(pair, folder, ['bundles'], ['--keep-sources']);
    if (imported === undefined || again === undefined || bundles === undefined) {
      throw new Error('nothing was published');
    }
    measured.push({ hashMs, bareMs, imported, again, bundles });
  }
  return measured;
}

/** Each folder in turn to one registry that is empty at first. */
async function publish(pair: Pair, folder: string, what: readonly string[], args: readonly string[]): Promise<Published[]> {
  const env = await pair.newRegistry(folder);
  const registry = await startServeProcess('registry', { LOG_LEVEL: 'warn', REGISTRY_PORT: '0', ...env });
  try {
    const published: Published[] = [];
    for (const name of what) {
      const run = await cli(['publish', join(folder, name), ...args, '--json', '--registry', registry.address]);
      const totals = JSON.parse(run.out.trimEnd().split('\n').at(-1) ?? '') as Published['totals'];
      published.push({ run, totals, registryPeakMib: memoryOfTree(registry.pid)[0]?.peakMib ?? Number.NaN });
    }
    return published;
  } finally {
    await registry.end('SIGTERM');
  }
}

async function cli(args: readonly string[]): Promise<CliRun> {
  const run = await runCliProcess(args);
  if (run.code !== 0) {
    throw new Error(`maskterial ${args.join(' ')} ended with ${String(run.code)}: ${run.err}`);
  }
  return run;
}

async function distinctFiles(folder: string, names: readonly string[]): Promise<BenchFile[]> {
  const files = new Map<Digest, BenchFile>();
  for (const name of names) {
    const { artifacts } = parseManifest(await readFile(join(folder, name, 'manifest.json')));
    for (const { path, digest, sizeBytes } of artifacts) {
      files.set(digest, { path: join(folder, name, path), sizeBytes });
    }
  }
  return [...files.values()];
}

async function hashAll(files: readonly BenchFile[]): Promise<void> {
  for (const { path } of files) {
    const hasher = new Hasher();
    for await (const bytes of createReadStream(path, { highWaterMark: READ_BYTES })) {
      hasher.update(bytes as Buffer);
    }
    hasher.finish();
  }
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

function print({ name, bareName }: Pair, bytes: number, rounds: readonly Round[]): void {
  const rates = (values: readonly number[]): number[] => values.map((ms) => bytes / 1000 / ms);
  const of = (pick: (round: Round) => number): number[] => rounds.map(pick);
  const line = (what: string, values: readonly number[], digits: number): void =>
    console.log(`  ${what.padEnd(66)} ${formatSpread(spreadOf(values), digits)}`);
  const [hash, bare] = [of(({ hashMs }) => hashMs), of(({ bareMs }) => bareMs)];
  const published = of(({ imported }) => imported.run.ms);
  const whole = of(({ bundles }) => bundles.run.ms);
  console.log(`\n${name}; ${rounds.length} rounds, median (quartiles)`);
  line('SHA-256 alone, MB/s', rates(hash), 0);
  line(`${bareName}, MB/s`, rates(bare), 0);
  line('publish, imported before, MB/s', rates(published), 0);
  line('import and publish, MB/s', rates(whole), 0);
  line('publish / bare, by throughput', ratiosOf(bare, published), 2);
  line('publish / SHA-256, by throughput', ratiosOf(hash, published), 2);
  line('import and publish / bare', ratiosOf(bare, whole), 2);
  line('import and publish / SHA-256', ratiosOf(hash, whole), 2);
  line(
    'published again, s',
    of(({ again }) => again.run.ms / 1000),
    1,
  );
  line(
    'files uploaded the first time',
    of(({ imported }) => imported.totals['uploaded_files'] ?? Number.NaN),
    0,
  );
  line(
    'files uploaded the second time',
    of(({ again }) => again.totals['uploaded_files'] ?? Number.NaN),
    0,
  );
  line(
    'peak of the publisher, imported before, MiB',
    of(({ imported }) => imported.run.peakBytes / 2 ** 20),
    0,
  );
  line(
    'peak of the publisher that imports too, MiB',
    of(({ bundles }) => bundles.run.peakBytes / 2 ** 20),
    0,
  );
  const peaks = of(({ again, bundles }) => Math.max(again.registryPeakMib, bundles.registryPeakMib));
  line('peak of the registry, MiB', peaks, 0);
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
