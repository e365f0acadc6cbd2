import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPublishable } from '../../clients/cli/open-publishable.ts';
import { type ServableSpec, servableId } from '../../inference/rollout/servable.ts';
import { refOf } from '../../proto/wire/digest.ts';
import { parseManifest } from '../../proto/wire/manifest.ts';
import { parseModelName } from '../../proto/wire/names.ts';
import { referenceData, referencePath } from '../support/reference-data.ts';

/** A bundle to publish. */
export interface BenchModel {
  readonly name: string;
  readonly path: string;
  readonly origin: string;
}

/** The AMM bundle of the reference data: an AMM's cost depends on its sizes, which are those of the published ones. */
export function ammModel(): BenchModel {
  if (referenceData === undefined) {
    throw new Error('this benchmark needs the reference data beside the checkout');
  }
  return {
    name: 'CLS_AMM_GrapheneH',
    path: join(referenceData, 'bundles', 'classification_models', 'AMM', 'GrapheneH'),
    origin: 'reference data, 5 classes',
  };
}

/** The same version as files in a temporary folder, for an engine in this process. */
export async function unpack(model: BenchModel): Promise<{ readonly spec: ServableSpec } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'maskterial-bench-model-'));
  const publishable = await openPublishable(model.path, new AbortController().signal);
  const paths: Record<string, string> = {};
  for (const [index, file] of publishable.files.entries()) {
    const path = join(folder, String(index));
    await writeFile(path, file.read());
    paths[file.ref.digest] = path;
  }
  const manifest = parseManifest(publishable.manifestBytes);
  const key = { model: parseModelName(model.name, 'model'), version: 1, manifest: refOf(publishable.manifestBytes) };
  await publishable.close();
  return {
    spec: { id: servableId(key), label: `${model.name}:1`, manifest, paths },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A real micrograph of the reference data. */
export function realMicrograph(): string {
  return join(ammModel().path, '..', '..', '..', '..', 'images', 'GrapheneH', '1fb9a0c6-da4a-4727-b9c0-473ddd7d0fd9.jpg');
}

/** All real micrographs of the reference data that are JPEG, by material and name. */
export async function realMicrographs(): Promise<string[]> {
  const paths: string[] = [];
  for (const material of (await readdir(referencePath('images'))).toSorted()) {
    const names = (await readdir(referencePath('images', material))).filter((name) => name.endsWith('.jpg'));
    paths.push(...names.toSorted().map((name) => referencePath('images', material, name)));
  }
  return paths;
}
