import { unsupportedModel } from './bundle-error.ts';
import type { Bundle, BundleFamily } from './detect.ts';
import type { FamilyImporter } from './family-importer.ts';
import { ammImporter } from './import-amm.ts';
import { gmmImporter } from './import-gmm.ts';
import { m2fImporter } from './m2f/import-m2f.ts';

/** One importer a family; families without one are recognised and refused. */
const IMPORTERS: Readonly<Partial<Record<BundleFamily, FamilyImporter>>> = {
  AMM: ammImporter,
  GMM: gmmImporter,
  M2F: m2fImporter,
};

/** @throws UNSUPPORTED_MODEL naming the family and the files that it was recognised by. */
export function importerOf(bundle: Bundle): FamilyImporter {
  const importer = IMPORTERS[bundle.family];
  if (importer === undefined) {
    const place = bundle.folder === '' ? bundle.source.name : bundle.folder;
    const hint = bundle.family === 'MLP' ? '; an AMM bundle would also hold loc.npy and cov.npy' : '';
    const found = [...bundle.files.keys()].slice(0, 12).join(', ');
    throw unsupportedModel(place, `a bundle of family ${bundle.family} (found ${found}), of which no importer exists yet${hint}`);
  }
  return importer;
}
