import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { findPublishables } from '../../../clients/cli/find-publishables.ts';
import { writeImported } from '../../../clients/cli/imported-folder.ts';
import { createUploadProgress } from '../../../clients/cli/upload-progress.ts';
import { isServiceError } from '../../../proto/wire/errors.ts';
import { HANG_MS } from '../hang-limit.ts';
import { MemoryOutput } from '../memory-output.ts';
import { type FuzzBundle, fuzzBundle } from './fuzz-bundles.ts';
import { SeededRandom } from './seeded-random.ts';

// Imports bundles that nobody should make, one after the other: `node importing-process.js FOLDER SEED NUMBER...`. Says a line a
// bundle, `<number> imported` or `<number> <kind> <reason>`, and `memory <bytes>` after each half. Anything else ends it.
const [folder = '', seed = '', ...numbers] = process.argv.slice(2);
const path = join(folder, 'bundle');
const out = join(folder, 'out');
const LOOKS = 10;
const command = `touch ${join(folder, 'executed')}`;

for (const [index, number] of numbers.entries()) {
  await lay(fuzzBundle(new SeededRandom(Number(seed), `bundle ${number}`), command));
  process.stdout.write(`${number} ${await outcome()}\n`);
  await rm(path, { recursive: true, force: true });
  if (index + 1 === Math.floor(numbers.length / 2) || index + 1 === numbers.length) {
    process.stdout.write(`memory ${await heldBytes()}\n`);
  }
}

/** The least of several looks: what a collection found is given back by threads that take their time. */
async function heldBytes(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let look = 0; look < LOOKS; look += 1) {
    globalThis.gc?.();
    await turn();
    least = Math.min(least, process.memoryUsage().rss);
  }
  return least;
}

async function lay(bundle: FuzzBundle): Promise<void> {
  if (bundle.kind === 'zip') {
    await writeFile(path, bundle.bytes);
    return;
  }
  await mkdir(path);
  for (const [name, bytes] of Object.entries(bundle.files)) {
    await mkdir(dirname(join(path, name)), { recursive: true });
    await writeFile(join(path, name), bytes);
  }
  for (const [name, target] of Object.entries(bundle.links ?? {})) {
    await symlink(target, join(path, name));
  }
}

/** As `maskterial publish` goes about it, for each model that there is: `imported` where all of them are, else the first refusal. */
async function outcome(): Promise<string> {
  const signal = AbortSignal.timeout(HANG_MS);
  let refusal: string | undefined;
  for (const candidate of await findPublishables(path, {}, signal)) {
    try {
      const publishable = await candidate.open(createUploadProgress(new MemoryOutput()), signal);
      try {
        await writeImported(out, publishable.manifestBytes, publishable.files);
      } finally {
        await publishable.close();
      }
    } catch (error) {
      if (!isServiceError(error)) {
        throw error;
      }
      refusal ??= `${error.kind} ${error.reason}`;
    }
    await rm(out, { recursive: true, force: true });
  }
  return refusal ?? 'imported';
}
