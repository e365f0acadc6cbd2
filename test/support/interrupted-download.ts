import { openCache } from '../../inference/cache/artifact-cache.ts';
import { never } from './cache-folder.ts';
import { blobOf, FakeBlobSource, patternBytes } from './fake-blob-source.ts';

// A server that stops in the middle of a download, to be killed: `node interrupted-download.js FOLDER SIZE SEED CHUNKS`. Says
// `held` when CHUNKS chunks are on the disk.
const [root = '', size = '', seed = '', chunks = ''] = process.argv.slice(2);
const bytes = patternBytes(Number(size), Number(seed));
const source = new FakeBlobSource('first life', bytes);
source.onOpen = async (chunk) => {
  if (chunk >= Number(chunks)) {
    process.stdout.write('held\n');
    // Keeps the process alive; ended by the test's signal.
    await new Promise((resolve) => setTimeout(resolve, 600_000));
  }
};
const cache = await openCache(root, { onEvent: () => undefined }, { parallelChunks: 1, maxBytes: 0, stallTimeoutMs: 600_000 });
await cache.ensure(blobOf(bytes), [source], never);
