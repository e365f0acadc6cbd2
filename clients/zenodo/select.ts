import { invalid, ServiceError } from '../../proto/wire/errors.ts';
import { matchesNamePattern } from '../../proto/wire/served-set.ts';
import type { RecordFile } from './record.ts';

/** The models that the original deployment serves: a segmenter and a classifier for each of four materials. */
export const ORIGINAL_DEPLOYMENT: readonly string[] = ['GrapheneH', 'GrapheneL', 'hBN_Thin', 'WS2'].flatMap((material) => [
  `SEG_M2F_${material}`,
  `CLS_AMM_${material}`,
]);

export interface Selection {
  /** Patterns of names, `*` for any characters; with or without `.zip`. Empty takes all. */
  readonly only: readonly string[];
  readonly originalDeployment: boolean;
}

/**
 * The bundles of a record that were asked for, in the record's order; what is no zip is no bundle.
 * @throws ServiceError invalid-argument INVALID_REQUEST for a pattern that matches none, naming what there is; not-found
 *   FILE_NOT_FOUND for models of the original deployment that the record lacks.
 */
export function selectBundles(files: readonly RecordFile[], { only, originalDeployment }: Selection): readonly RecordFile[] {
  const bundles = files.filter(({ name }) => /\.zip$/i.test(name));
  const names = bundles.map(({ name }) => stem(name));
  const unmatched = only.filter((pattern) => !names.some((name) => matches(pattern, name)));
  if (unmatched.length > 0) {
    throw invalid(
      unmatched.map((pattern) => ({ field: 'only', description: `"${pattern}" matches none of ${names.join(', ')}` })),
    );
  }
  const lacking = originalDeployment ? ORIGINAL_DEPLOYMENT.filter((name) => !names.includes(name)) : [];
  if (lacking.length > 0) {
    throw new ServiceError(
      'not-found',
      'FILE_NOT_FOUND',
      `the record has no ${lacking.join(', no ')}; it has ${names.join(', ')}`,
    );
  }
  return bundles.filter(({ name }) => {
    const isAsked = only.length === 0 || only.some((pattern) => matches(pattern, stem(name)));
    return isAsked && (!originalDeployment || ORIGINAL_DEPLOYMENT.includes(stem(name)));
  });
}

function stem(name: string): string {
  return name.replace(/\.zip$/i, '');
}

function matches(pattern: string, name: string): boolean {
  return matchesNamePattern(stem(pattern), name);
}
