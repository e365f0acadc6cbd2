import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ServiceError } from '../../proto/wire/errors.ts';
import { encodeManifest } from '../../proto/wire/manifest.ts';
import { importBundle } from '../import/import-bundle.ts';
import { openFolderSource } from '../import/sources/folder-source.ts';
import { openZipSource } from '../import/sources/zip-source.ts';
import { serverModelName } from '../import/suggest-name.ts';
import { type BundleOptions, lineageOf } from './bundle-options.ts';
import { isImported, readImported } from './imported-folder.ts';
import type { Publishable } from './publishable.ts';

/**
 * What `path` holds, ready to be published: a bundle (imported on the fly), or a folder that an import wrote.
 * @throws ServiceError invalid-argument UNREADABLE_FILE, INVALID_BUNDLE, UNSUPPORTED_MODEL, INVALID_MANIFEST.
 */
export async function openPublishable(path: string, signal: AbortSignal, options: BundleOptions = {}): Promise<Publishable> {
  return (await isImported(path)) ? readImported(path) : openBundle(path, signal, options);
}

/** Imports the bundle at `path`, a folder or a zip. Its files are read as they are sent, so it stays open until closed. */
export async function openBundle(path: string, signal: AbortSignal, options: BundleOptions = {}): Promise<Publishable> {
  const source = (await isFolder(path)) ? await openFolderSource(path, signal) : await openZipSource(path, signal);
  try {
    const { manifest, files, family, folder, ...bundle } = await importBundle(source, {
      lineage: lineageOf(options),
      ...(options.bundle === undefined ? {} : { folder: options.bundle }),
      keepSources: options.keepSources === true,
      signal,
    });
    const place = resolve(path);
    // What holds one bundle may be the server's folder (or zip) of it, and the bundle a folder inside.
    const outer = options.bundle === undefined ? serverModelName(place, family) : undefined;
    const serverName = serverModelName(join(place, folder), family) ?? outer;
    const suggestedName = serverName ?? bundle.suggestedName;
    return { manifest, manifestBytes: encodeManifest(manifest), files, serverName, suggestedName, close: () => source.close() };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    throw new ServiceError('invalid-argument', 'UNREADABLE_FILE', `${path}: no such file or folder`, { cause });
  }
}
