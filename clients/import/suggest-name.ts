import { asModelName, type ModelName } from '../../proto/wire/names.ts';
import type { BundleFamily } from './detect.ts';

/** How the published files of a family begin. */
const PREFIXES: Readonly<Record<BundleFamily, string>> = {
  M2F: 'SEG_M2F_',
  AMM: 'CLS_AMM_',
  GMM: 'CLS_GMM_',
  MLP: 'CLS_MLP_',
  L2: 'PP_L2_',
};

/** What MaskTerial's own server calls the folders that hold one folder a family. */
const SERVER_FOLDERS = new Set(['segmentation_models', 'classification_models', 'postprocessing_models']);

/**
 * A name for the only bundle of a source, from the names of what it lies in, the source's first: the innermost that begins as
 * published models do, since a zip `CLS_AMM_WSe2` may hold just a folder `WSe2`; otherwise the innermost itself, or the source
 * where that is no name.
 */
export function suggestModelName(places: readonly string[], family: BundleFamily): ModelName | undefined {
  const inwards = places.filter((place) => place !== '').toReversed();
  const names = inwards.map((place) => asModelName(place));
  return publishedName(places, family) ?? names[0] ?? names.at(-1);
}

/** The innermost of `places`, outermost first, that begins as the published models of `family` do. */
export function publishedName(places: readonly string[], family: BundleFamily | ''): ModelName | undefined {
  const names = places.map((place) => asModelName(place));
  return family === '' ? undefined : names.findLast((name) => name?.startsWith(PREFIXES[family]));
}

/** The names on `folder`'s path, outermost first, of the folders that hold no other of `folders`: only they may name a bundle in it. */
export function ownPlaces(folder: string, folders: readonly string[]): string[] {
  const others = folders.filter((other) => other !== folder);
  return folder.split('/').filter((_, at, parts) => {
    const within = `${parts.slice(0, at + 1).join('/')}/`;
    return !others.some((other) => other.startsWith(within));
  });
}

/**
 * A name for the bundle in a folder (or zip) of MaskTerial's own server, `classification_models/AMM/WSe2`. There one name stands
 * for the models of all families, which here would be versions of one model.
 */
export function serverModelName(folder: string, family: BundleFamily | ''): ModelName | undefined {
  const [kind, type, name] = folder.split(/[/\\]/).slice(-3);
  if (family === '' || type !== family || !SERVER_FOLDERS.has(kind ?? '') || name === undefined) {
    return undefined;
  }
  const bare = name.replace(/\.zip$/i, '');
  return publishedName([bare], family) ?? asModelName(`${PREFIXES[family]}${bare}`);
}
