import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { Hasher } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { parseManifest } from '../../proto/wire/manifest.ts';
import type { PublishFile } from '../publish.ts';
import type { Publishable } from './publishable.ts';

export const MANIFEST_FILE = 'manifest.json';

/**
 * Writes what an import made: `manifest.json` and every artifact under its path. All of it or nothing: the folder appears with its
 * last file in place.
 * @throws ServiceError failed-precondition OUTPUT_EXISTS when there is something at `folder`; data-loss DIGEST_MISMATCH when a file is
 *   not what the manifest says.
 */
export async function writeImported(folder: string, manifestBytes: Uint8Array, files: readonly PublishFile[]): Promise<void> {
  const target = resolve(folder);
  // Checked first, since an import takes a while; the rename below is what decides.
  if (await exists(target)) {
    throw outputExists(folder);
  }
  // Paths come from the manifest: only names that it allows are laid out as files.
  const allowed = new Set(parseManifest(manifestBytes).artifacts.map(({ path }) => path));
  await mkdir(dirname(target), { recursive: true });
  const temporary = join(dirname(target), `.${basename(target)}-${randomBytes(6).toString('hex')}`);
  try {
    await mkdir(temporary);
    for (const file of files.filter(({ path }) => allowed.has(path))) {
      await writeFile(join(temporary, file.path), file);
    }
    await writeFile(join(temporary, MANIFEST_FILE), { path: MANIFEST_FILE, read: () => once(manifestBytes) });
    await rename(temporary, target).catch((cause: unknown) => {
      throw outputExists(folder, cause);
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** True for a folder that `writeImported` wrote. */
export async function isImported(path: string): Promise<boolean> {
  return exists(join(path, MANIFEST_FILE));
}

/**
 * A folder that `writeImported` wrote. Files are read when they are sent; the registry checks their digests.
 * @throws ServiceError invalid-argument INVALID_MANIFEST; data-loss SIZE_MISMATCH; not-found BLOB_NOT_FOUND for a file that is gone.
 */
export async function readImported(folder: string): Promise<Publishable> {
  const manifestBytes = await readFile(join(folder, MANIFEST_FILE));
  const manifest = parseManifest(manifestBytes);
  const files: PublishFile[] = [];
  for (const { path, digest, sizeBytes } of manifest.artifacts) {
    const file = join(folder, path);
    const found = await stat(file).catch((cause: unknown) => {
      throw new ServiceError('not-found', 'BLOB_NOT_FOUND', `${file}: the manifest names it, but it cannot be read`, { cause });
    });
    if (found.size !== sizeBytes) {
      throw new ServiceError('data-loss', 'SIZE_MISMATCH', `${file}: the manifest says ${sizeBytes} bytes, found ${found.size}`);
    }
    files.push({ path, ref: { digest, sizeBytes }, read: () => createReadStream(file, { highWaterMark: 1024 * 1024 }) });
  }
  return { manifest, manifestBytes, files, suggestedName: undefined, close: async () => undefined };
}

async function writeFile(
  path: string,
  file: Pick<PublishFile, 'path' | 'read'> & { readonly ref?: PublishFile['ref'] },
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const hasher = new Hasher();
  const handle = await open(path, 'wx');
  try {
    for await (const bytes of file.read()) {
      hasher.update(bytes);
      await handle.write(bytes);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  const found = hasher.finish();
  if (file.ref !== undefined && found.digest !== file.ref.digest) {
    const { digest, sizeBytes } = file.ref;
    const message = `${file.path}: expected ${digest} (${sizeBytes} bytes), found ${found.digest} (${found.sizeBytes} bytes)`;
    throw new ServiceError('data-loss', 'DIGEST_MISMATCH', message);
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

function outputExists(folder: string, cause?: unknown): ServiceError {
  return new ServiceError(
    'failed-precondition',
    'OUTPUT_EXISTS',
    `${folder} exists already; remove it or name another folder with --out`,
    { cause },
  );
}
