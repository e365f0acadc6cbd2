import { stat } from 'node:fs/promises';
import { invalidBundle } from '../bundle-error.ts';
import type { BundleSource } from '../bundle-source.ts';
import { openFolderSource } from './folder-source.ts';
import { openZipSource } from './zip-source.ts';

/**
 * Opens the folder or zip at `path`, whichever it is; to be closed by the caller.
 * @throws INVALID_BUNDLE naming it where it is neither.
 */
export async function openBundle(path: string, signal: AbortSignal): Promise<BundleSource> {
  const found = await stat(path).catch((cause: unknown) => {
    throw invalidBundle(path, 'cannot be read', cause);
  });
  return found.isDirectory() ? openFolderSource(path, signal) : openZipSource(path, signal);
}
