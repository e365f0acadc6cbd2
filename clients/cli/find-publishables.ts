import { stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { isServiceError } from '../../proto/wire/errors.ts';
import { asModelName } from '../../proto/wire/names.ts';
import type { SourceFile } from '../import/bundle-source.ts';
import { findBundleFolders, type FoundFolder } from '../import/detect.ts';
import { openFolderSource } from '../import/sources/folder-source.ts';
import { openZipSource } from '../import/sources/zip-source.ts';
import { ownPlaces, publishedName } from '../import/suggest-name.ts';
import type { BundleOptions } from './bundle-options.ts';
import type { Candidate } from './candidate.ts';
import { isImported, MANIFEST_FILE } from './imported-folder.ts';
import { openBundle, openPublishable } from './open-publishable.ts';

/**
 * Everything at `path` that may be published, in order of path: folders and zips with the files of a bundle, whole or not, and
 * folders that an import wrote. Where there is nothing, or what cannot even be looked into, it is a candidate whose opening says so.
 */
export async function findPublishables(path: string, options: BundleOptions, signal: AbortSignal): Promise<Candidate[]> {
  const found = await lookInto(path, options, signal);
  return found.length === 0 ? [anything(path, options)] : found;
}

async function lookInto(path: string, options: BundleOptions, signal: AbortSignal): Promise<Candidate[]> {
  try {
    if (!(await stat(path)).isDirectory()) {
      return await findInZip(path, options, signal);
    }
    return (await isImported(path)) ? [anything(path, options)] : await findInFolder(path, options, signal);
  } catch (error) {
    if (isServiceError(error, 'cancelled')) {
      throw error;
    }
    return [anything(path, options)];
  }
}

/** Where files of a bundle are missing, and the folder lies in or around a whole one, nobody asked for it. */
export function bundleFolders(files: readonly SourceFile[]): FoundFolder[] {
  const found = findBundleFolders(files);
  const whole = found.filter(({ families }) => families.length > 0);
  return found.filter(
    ({ families, folder }) =>
      families.length > 0 || !whole.some((other) => isWithin(folder, other.folder) || isWithin(other.folder, folder)),
  );
}

async function findInFolder(root: string, options: BundleOptions, signal: AbortSignal): Promise<Candidate[]> {
  const source = await openFolderSource(root, signal);
  const files = await source.list(signal);
  await source.close();
  const imported = files.filter(({ path }) => basename(path) === MANIFEST_FILE).map(({ path }) => folderOf(path));
  const others = files.filter(({ path }) => !imported.some((folder) => isWithin(folderOf(path), folder)));
  const folders = bundleFolders(others);
  const zips = others.filter(
    ({ path }) => /\.zip$/i.test(path) && !folders.some(({ folder }) => isWithin(folderOf(path), folder)),
  );
  const places = [...imported, ...folders.map(({ folder }) => folder), ...zips.map(({ path }) => path)];
  const candidates = [
    ...imported.map((folder) => anything(join(root, folder), options)),
    ...folders.map(({ folder }) => inside(root, folder, places, options)),
  ];
  for (const { path } of zips) {
    candidates.push(...(await lookInto(join(root, path), options, signal)));
  }
  return candidates.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

async function findInZip(path: string, options: BundleOptions, signal: AbortSignal): Promise<Candidate[]> {
  const source = await openZipSource(path, signal);
  try {
    const folders = bundleFolders(await source.list(signal));
    const places = folders.map(({ folder }) => folder);
    return folders.length === 1 ? [anything(path, options)] : places.map((folder) => inside(path, folder, places, options));
  } finally {
    await source.close();
  }
}

/** What `maskterial publish PATH` would publish. */
function anything(path: string, options: BundleOptions): Candidate {
  return {
    path,
    fallbackName: basename(resolve(path)),
    open: (_, signal) => openPublishable(path, signal, options),
  };
}

/**
 * The bundle in `folder`, beside those in the other `places`. Its own folder names it, or what holds it alone, never what several
 * lie in, save the folders of MaskTerial's own server.
 */
function inside(root: string, folder: string, places: readonly string[], options: BundleOptions): Candidate {
  const path = join(root, folder);
  const rootName = basename(resolve(root));
  const fallbackName = basename(resolve(path)).replace(/\.zip$/i, '');
  return {
    path,
    fallbackName,
    open: async (_, signal) => {
      const bundle = await openBundle(root, signal, { ...options, bundle: folder });
      const published = publishedName(
        [...(places.length === 1 ? [rootName] : []), ...ownPlaces(folder, places)],
        bundle.manifest.family,
      );
      return { ...bundle, suggestedName: bundle.serverName ?? published ?? asModelName(fallbackName) };
    },
  };
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function isWithin(folder: string, other: string): boolean {
  return folder === other || other === '' || folder.startsWith(`${other}/`);
}
