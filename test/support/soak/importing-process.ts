import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeImported } from '../../../clients/cli/imported-folder.ts';
import { openPublishable } from '../../../clients/cli/open-publishable.ts';
import { isServiceError } from '../../../proto/wire/errors.ts';
import { type FuzzBundle, fuzzBundle } from './fuzz-bundles.ts';
import { SeededRandom } from './seeded-random.ts';

// Imports bundles that nobody should make, one after the other: `node importing-process.js FOLDER SEED NUMBER...`. Says a line a
// bundle, `<number> imported` or `<number> <kind> <reason>`, and `memory <bytes>` after each half. Anything else ends it.
const [folder = '', seed = '', ...numbers] = process.argv.slice(2);
const path = join(folder, 'bundle');
const out = join(folder, 'out');
const command = `touch ${join(folder, 'executed')}`;

for (const [index, number] of numbers.entries()) {
  await lay(fuzzBundle(new SeededRandom(Number(seed), `bundle ${number}`), command));
  process.stdout.write(`${number} ${await outcome()}\n`);
  await rm(path, { recursive: true, force: true });
  await rm(out, { recursive: true, force: true });
  if (index + 1 === Math.floor(numbers.length / 2) || index + 1 === numbers.length) {
    globalThis.gc?.();
    process.stdout.write(`memory ${process.memoryUsage().rss}\n`);
  }
}

async function lay(bundle: FuzzBundle): Promise<void> {
  if (bundle.kind === 'zip') {
    await writeFile(path, bundle.bytes);
    return;
  }
  await mkdir(path);
  for (const [name, bytes] of Object.entries(bundle.files)) {
    await writeFile(join(path, name), bytes);
  }
  for (const [name, target] of Object.entries(bundle.links ?? {})) {
    await symlink(target, join(path, name));
  }
}

/** As `maskterial import` goes about it. */
async function outcome(): Promise<string> {
  try {
    const publishable = await openPublishable(path, AbortSignal.timeout(60_000));
    try {
      await writeImported(out, publishable.manifestBytes, publishable.files);
    } finally {
      await publishable.close();
    }
    return 'imported';
  } catch (error) {
    if (isServiceError(error)) {
      return `${error.kind} ${error.reason}`;
    }
    throw error;
  }
}
