import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ImportedBundle, importBundle } from '../../../clients/import/import-bundle.ts';
import { type ServableId, type ServableSpec } from '../../../inference/rollout/servable.ts';
import { type Digest, hexOf } from '../../../proto/wire/digest.ts';
import { collect } from '../bundle-files.ts';
import { MemorySource } from '../bundle-memory-source.ts';
import { type M2fModel, m2fFiles } from './random-model.ts';

/** An imported model whose files lie in `folder` under their digests, as in a cache. */
export async function m2fServable(folder: string, label: string, model: M2fModel): Promise<ServableSpec> {
  const { signal } = new AbortController();
  return imported(folder, label, await importBundle(new MemorySource(m2fFiles(model)), { signal }));
}

export async function imported(folder: string, label: string, { manifest, files }: ImportedBundle): Promise<ServableSpec> {
  const paths: Record<Digest, string> = {};
  for (const { ref, read } of files) {
    paths[ref.digest] = join(folder, hexOf(ref.digest));
    writeFileSync(join(folder, hexOf(ref.digest)), await collect(read()));
  }
  return { id: `${label}@sha256` as ServableId, label, manifest, paths };
}
