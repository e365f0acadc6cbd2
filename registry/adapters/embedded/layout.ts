import { randomUUID } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { asDigest, type Digest, digestOf, hexOf } from '../../../proto/wire/digest.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { ChunkedBlob, SetAsideBlob } from '../../release/blob-store.ts';
import { isAbsent, translated } from './fs-errors.ts';
import { makeFolder } from './make-folder.ts';

/** Of the folder as drawn below; raised when an older release could not read it any more. */
const FORMAT_VERSION = 1;

/**
 * The only builder of the embedded store's paths. Under the root:
 *
 *     format.json                           the version of this layout
 *     catalog.sqlite                        the catalog, with SQLite's own -wal and -shm beside it
 *     blobs/sha256/ab/abcdef...             whole, verified blobs, read-only, named by digest
 *     partials/<digest>-<chunk list>/data   unfinished uploads: verified chunks at their place ...
 *     partials/<digest>-<chunk list>/journal    ... and which ones they are
 *     partials/<digest>-<chunk list>/<id>.publish    for moments: the data about to become the blob
 *     partials/<id>.trash                   for moments, or left by a crash: the next start removes it
 *     aside/abcdef....<id>                  blobs out of sight while garbage is collected
 */
export interface Layout {
  readonly root: string;
  readonly catalog: string;
  readonly partials: string;
  readonly blobs: string;
  readonly setAside: string;
  blob(digest: Digest): string;
  aside(blob: SetAsideBlob): string;
  /** One folder for each way in which manifests divide a blob into chunks, so that a wrong chunk list spoils only itself. */
  partial(blob: ChunkedBlob): string;
}

export function layoutOf(folder: string): Layout {
  const root = resolve(folder);
  const partials = join(root, 'partials');
  const blobs = join(root, 'blobs', 'sha256');
  const setAside = join(root, 'aside');
  return {
    root,
    catalog: join(root, 'catalog.sqlite'),
    partials,
    blobs,
    setAside,
    aside: ({ digest, id }) => join(setAside, `${hexOf(digest)}.${id}`),
    blob: (digest) => join(blobs, hexOf(digest).slice(0, 2), hexOf(digest)),
    partial: ({ digest, sizeBytes, chunks }) => {
      const division = hexOf(digestOf(Buffer.from(JSON.stringify([sizeBytes, chunks])))).slice(0, 16);
      return join(partials, `${hexOf(digest)}-${division}`);
    },
  };
}

/**
 * Makes the folder ready, or checks that it is one of ours.
 * @throws ServiceError failed-precondition UNSUPPORTED_FORMAT; unavailable STORAGE_UNAVAILABLE; resource-exhausted STORAGE_FULL.
 */
export async function prepareLayout(folder: string): Promise<Layout> {
  const layout = layoutOf(folder);
  await translated(async () => {
    await makeFolder(join(layout.root, 'blobs', 'sha256'));
    await makeFolder(layout.partials);
    const format = join(layout.root, 'format.json');
    const text = await readFile(format, 'utf8').catch((error: unknown) => {
      if (isAbsent(error)) {
        return undefined;
      }
      throw error;
    });
    if (text === undefined) {
      await writeDurably(format, `${JSON.stringify({ format: 'maskterial-registry', version: FORMAT_VERSION })}\n`);
    } else {
      checkFormat(text, layout.root);
    }
  });
  return layout;
}

/** The blob that a partial upload's folder is for; undefined for any other name. */
export function digestOfPartial(name: string): Digest | undefined {
  const hex = /^([0-9a-f]{64})-[0-9a-f]{16}$/.exec(name)?.[1];
  return hex === undefined ? undefined : asDigest(`sha256:${hex}`);
}

/** Makes the names in a folder survive a power failure. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function checkFormat(text: string, root: string): void {
  let version: unknown;
  try {
    const parsed: unknown = JSON.parse(text);
    version = typeof parsed === 'object' && parsed !== null && 'version' in parsed ? parsed.version : undefined;
  } catch {
    version = undefined;
  }
  if (version !== FORMAT_VERSION) {
    throw new ServiceError(
      'failed-precondition',
      'UNSUPPORTED_FORMAT',
      `${root} has the format ${text.trim().slice(0, 80)}; this release reads version ${FORMAT_VERSION}`,
    );
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  // Two processes may start at once: each writes a file of its own, and both say the same.
  const temporary = `${path}.${randomUUID()}`;
  try {
    const handle = await open(temporary, 'wx');
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } finally {
    await rm(temporary, { force: true });
  }
}
