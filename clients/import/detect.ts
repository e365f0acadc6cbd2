import { invalidBundle, listSome, quote } from './bundle-error.ts';
import type { BundleSource, SourceFile } from './bundle-source.ts';

export type BundleFamily = 'M2F' | 'AMM' | 'GMM' | 'MLP' | 'L2';

/** The files of one model, all in one folder of the source. */
export interface Bundle {
  readonly family: BundleFamily;
  readonly source: BundleSource;
  /** Folder inside the source; empty at its top. */
  readonly folder: string;
  /** Every file directly in the folder, by name: the bundle's own and others beside them. */
  readonly files: ReadonlyMap<string, SourceFile>;
}

/** A folder of a listing that makes up a bundle, or part of one. */
export interface FoundFolder {
  /** Empty at the top. */
  readonly folder: string;
  /** Every file directly in it, by name. */
  readonly files: ReadonlyMap<string, SourceFile>;
  /** None where files are missing; two where the files of two bundles lie in one folder. */
  readonly families: readonly BundleFamily[];
}

/** The folders of a listing, at any depth, that hold files of a bundle; those without any are left out. */
export function findBundleFolders(files: readonly SourceFile[]): FoundFolder[] {
  return [...byFolder(files)].flatMap(([folder, inFolder]) => {
    const families = familiesOf(inFolder);
    return families.length > 0 || BUNDLE_FILES.some((name) => inFolder.has(name)) ? [{ folder, files: inFolder, families }] : [];
  });
}

/** Whether bundles have files of this name: the others in a bundle's folder need not be there. */
export function isBundleFileName(name: string): boolean {
  return BUNDLE_FILES.includes(name);
}

/**
 * Finds the one bundle of a source, at any depth; files that belong to none are ignored.
 * @param folder takes the bundle of this folder where there are several
 * @throws INVALID_BUNDLE saying what was found: no bundle, files missing, several bundles.
 */
export async function detectBundle(source: BundleSource, folder: string | undefined, signal: AbortSignal): Promise<Bundle> {
  const wanted = folder?.replace(/\/+$/, '');
  const files = await source.list(signal);
  const folders = findBundleFolders(files).filter((found) => wanted === undefined || found.folder === wanted);
  const bundles = folders.flatMap(({ families, ...found }) => families.map((family): Bundle => ({ family, source, ...found })));
  const [bundle] = bundles;
  if (bundles.length > 1) {
    const found = listSome(bundles.map((each) => `${each.family} in ${place(each.folder)}`));
    throw invalidBundle(source.name, `holds ${bundles.length} bundles, name the folder of one: ${found}`);
  }
  if (bundle === undefined) {
    const inside = wanted === undefined ? '' : ` in ${place(wanted)}`;
    const found =
      folders.length > 0 ? listSome(folders.map(describeIncomplete)) : `found ${listFiles(files.map(({ path }) => path))}`;
    throw invalidBundle(source.name, `holds no model bundle${inside}: ${found}`);
  }
  return bundle;
}

/** @throws INVALID_BUNDLE listing every one of `names` that the bundle has no file of. */
export function checkFiles(bundle: Bundle, names: readonly string[]): void {
  const missing = names.filter((name) => !bundle.files.has(name));
  if (missing.length > 0) {
    throw missingFiles(bundle, missing);
  }
}

/** The file of that name. @throws INVALID_BUNDLE where the bundle has none. */
export function bundleFile(bundle: Bundle, name: string): SourceFile {
  const file = bundle.files.get(name);
  if (file === undefined) {
    throw missingFiles(bundle, [name]);
  }
  return file;
}

function missingFiles({ family, files, folder, source }: Bundle, names: readonly string[]): Error {
  return invalidBundle(
    folder === '' ? source.name : folder,
    `${family} bundle without ${names.join(', ')}; found ${listFiles([...files.keys()])}`,
  );
}

const SEGMENTATION_WEIGHTS = ['model.pth', 'model_final.pth'];
const BUNDLE_FILES = [
  'contrast_dict.json',
  'meta_data.json',
  'loc.npy',
  'cov.npy',
  'model.joblib',
  'config.yaml',
  ...SEGMENTATION_WEIGHTS,
];

/** What a folder's files make up. Two families in one folder is two bundles, for the caller to take apart. */
function familiesOf(files: ReadonlyMap<string, SourceFile>): BundleFamily[] {
  const has = (name: string): boolean => files.has(name);
  const families: BundleFamily[] = [];
  if (has('contrast_dict.json')) {
    // The trainer writes meta_data.json, loc.npy and cov.npy beside it.
    families.push('GMM');
  }
  if (has('config.yaml') && SEGMENTATION_WEIGHTS.some(has)) {
    families.push('M2F');
  }
  if (has('meta_data.json') && has('model.pth')) {
    families.push(has('loc.npy') || has('cov.npy') ? 'AMM' : 'MLP');
  }
  if (has('model.joblib')) {
    families.push('L2');
  }
  return families;
}

function byFolder(files: readonly SourceFile[]): Map<string, Map<string, SourceFile>> {
  const folders = new Map<string, Map<string, SourceFile>>();
  for (const file of files) {
    const slash = file.path.lastIndexOf('/');
    const folder = file.path.slice(0, Math.max(0, slash));
    const inFolder = folders.get(folder) ?? new Map<string, SourceFile>();
    inFolder.set(file.path.slice(slash + 1), file);
    folders.set(folder, inFolder);
  }
  return folders;
}

/** What a folder without a whole bundle has, and what it misses. */
export function describeIncomplete({ folder, files }: FoundFolder): string {
  const found = BUNDLE_FILES.filter((name) => files.has(name));
  const isPixelClassifier = ['meta_data.json', 'loc.npy', 'cov.npy', 'model.pth'].some((name) => files.has(name));
  const missing = ['meta_data.json', 'model.pth', 'loc.npy', 'cov.npy'].filter((name) => !files.has(name));
  const hint = isPixelClassifier ? ` (for AMM it misses ${missing.join(', ')}; for GMM contrast_dict.json)` : '';
  return `${place(folder)} has only ${found.join(', ')}${hint}`;
}

function place(folder: string): string {
  return folder === '' ? 'its top folder' : quote(folder);
}

function listFiles(paths: readonly string[]): string {
  return paths.length === 0 ? 'no file' : listSome(paths.map((path) => quote(path)));
}
