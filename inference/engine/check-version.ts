import { join } from 'node:path';
import { refOf } from '../../proto/wire/digest.ts';
import { encodeManifest, type Manifest, servingArtifacts } from '../../proto/wire/manifest.ts';
import { localServableId } from '../rollout/servable.ts';
import { Engine } from './engine.ts';
import { fromWireError } from './protocol.ts';

/**
 * Loads a version in this process as an engine does, golden check included; its artifacts lie in `folder` under their paths. Says
 * nothing where it may serve.
 * @throws ServiceError as an engine's load: GOLDEN_CHECK_FAILED, LOAD_FAILED, UNSUPPORTED_MODEL, DIGEST_MISMATCH.
 */
export async function checkVersion(manifest: Manifest, label: string, folder: string): Promise<void> {
  const decoder = { decode: () => Promise.reject(new Error('a check decodes no image')) };
  const paths = Object.fromEntries(servingArtifacts(manifest).map(({ digest, path }) => [digest, join(folder, path)]));
  const engine = new Engine({ decoder }, { threads: 1 });
  const id = localServableId(refOf(encodeManifest(manifest)));
  const [failure] = await engine.load([{ id, label, manifest, paths }]);
  if (failure !== undefined) {
    throw fromWireError(failure.error);
  }
}
