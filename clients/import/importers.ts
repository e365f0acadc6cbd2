import type { Bundle, BundleFamily } from './detect.ts';
import type { FamilyImporter } from './family-importer.ts';
import { ammImporter } from './import-amm.ts';
import { gmmImporter } from './import-gmm.ts';
import { l2Importer } from './import-l2.ts';
import { mlpImporter } from './import-mlp.ts';
import { m2fImporter } from './m2f/import-m2f.ts';

const IMPORTERS: Readonly<Record<BundleFamily, FamilyImporter>> = {
  AMM: ammImporter,
  GMM: gmmImporter,
  L2: l2Importer,
  MLP: mlpImporter,
  M2F: m2fImporter,
};

export function importerOf({ family }: Bundle): FamilyImporter {
  return IMPORTERS[family];
}
