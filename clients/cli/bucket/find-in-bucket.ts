import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asModelName, type ModelName } from '../../../proto/wire/names.ts';
import type { RetryDeps } from '../../retry.ts';
import { invalidBundle, quote } from '../../import/bundle-error.ts';
import type { SourceFile } from '../../import/bundle-source.ts';
import { describeIncomplete, type FoundFolder, isBundleFileName } from '../../import/detect.ts';
import { ownPlaces, publishedName, serverModelName } from '../../import/suggest-name.ts';
import type { BundleOptions } from '../bundle-options.ts';
import type { Candidate } from '../candidate.ts';
import { bundleFolders } from '../find-publishables.ts';
import { openBundle } from '../open-publishable.ts';
import type { Publishable } from '../publishable.ts';
import type { UploadProgress } from '../upload-progress.ts';
import { downloadObject } from './download-object.ts';
import type { BucketObject, ObjectBucket } from './object-bucket.ts';

/** A hundred pages of a listing; a bucket of images is named by mistake. */
const MAX_OBJECTS = 100_000;

interface BucketFolder extends FoundFolder {
  readonly place: string;
  /** What it lies in alone, outermost first. */
  readonly names: readonly string[];
  /** By the files' paths. */
  readonly objects: ReadonlyMap<string, BucketObject>;
}

/**
 * The folders below a prefix that hold files of a bundle, whole or not. Opening one brings the files that bundles have to a temporary
 * folder, which goes when it is closed; nothing else is read.
 * @throws ServiceError as `ObjectBucket` does; invalid-argument INVALID_BUNDLE where there is no file of a bundle.
 */
export async function findInBucket(
  bucket: ObjectBucket,
  prefix: string,
  options: BundleOptions,
  retryDeps: RetryDeps,
  signal: AbortSignal,
): Promise<Candidate[]> {
  const root = prefix === '' ? '' : `${prefix}/`;
  const place = `${bucket.place}/${prefix}`;
  const objects = new Map<string, BucketObject>();
  const files: SourceFile[] = [];
  let count = 0;
  for await (const object of bucket.list(root, signal)) {
    count += 1;
    if (count > MAX_OBJECTS) {
      throw invalidBundle(place, `holds more than ${MAX_OBJECTS} objects: name the prefix of the models`);
    }
    const path = object.key.slice(root.length);
    if (isBundleFileName(lastOf(path))) {
      files.push({ path, sizeBytes: object.sizeBytes });
      objects.set(path, object);
    }
  }
  if (files.length === 0) {
    throw invalidBundle(place, count === 0 ? 'holds no object' : `holds ${count} objects, none of them a bundle's file`);
  }
  const found = bundleFolders(files);
  const places = found.map(({ folder }) => folder);
  return found.map((one) => {
    const names = [...(found.length === 1 ? [lastOf(prefix)] : []), ...ownPlaces(one.folder, places)];
    const folder = {
      ...one,
      names,
      objects,
      place: [place.replace(/\/$/, ''), one.folder].filter((part) => part !== '').join('/'),
    };
    const fallbackName = lastOf(folder.place);
    return {
      path: folder.place,
      fallbackName,
      open: (progress, openSignal) => fetchBundle(bucket, folder, options, { retryDeps, progress }, openSignal),
    };
  });
}

async function fetchBundle(
  bucket: ObjectBucket,
  folder: BucketFolder,
  options: BundleOptions,
  deps: { readonly retryDeps: RetryDeps; readonly progress: UploadProgress },
  signal: AbortSignal,
): Promise<Publishable> {
  const { place, names, objects, files } = folder;
  if (folder.families.length === 0) {
    throw invalidBundle(place, describeIncomplete(folder));
  }
  const temporary = await mkdtemp(join(tmpdir(), 'maskterial-bucket-'));
  const remove = (): Promise<void> => rm(temporary, { recursive: true, force: true });
  try {
    const local = join(temporary, modelNameOf(place));
    await mkdir(local);
    for (const [name, { path }] of files) {
      const object = objects.get(path);
      if (object !== undefined) {
        await downloadObject(bucket, object, join(local, name), deps, signal);
      }
    }
    const bundle = await openBundle(local, signal, options);
    const { family } = bundle.manifest;
    return {
      ...bundle,
      suggestedName: serverModelName(place, family) ?? publishedName(names, family) ?? bundle.suggestedName,
      close: async () => {
        await bundle.close();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Only a model's name becomes a path here, and only the names that bundles' files have. */
function modelNameOf(place: string): ModelName {
  const name = asModelName(lastOf(place));
  if (name === undefined) {
    throw invalidBundle(place, `${quote(lastOf(place))} is no name of a model`);
  }
  return name;
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
