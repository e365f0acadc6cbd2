import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root folder, from wherever this file was compiled to. */
export const repositoryRoot: string = findRoot(dirname(fileURLToPath(import.meta.url)));

/** The folder of real micrographs and reference results beside the checkout, or undefined where it is absent. */
export const referenceData: string | undefined = existing(join(repositoryRoot, '..', 'shared', 'data'));

/** Pass as a test's options: runs it with the reference data, skips it visibly without. */
export const needsReferenceData: { readonly skip: string | false } = {
  skip: referenceData === undefined ? 'the reference data is not beside the checkout' : false,
};

/** @throws where the reference data is absent: for tests under `needsReferenceData`. */
export function referencePath(...parts: string[]): string {
  if (referenceData === undefined) {
    throw new Error('the reference data is not beside the checkout');
  }
  return join(referenceData, ...parts);
}

function findRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : findRoot(dirname(folder));
}

function existing(folder: string): string | undefined {
  return existsSync(join(folder, 'README.md')) ? folder : undefined;
}
