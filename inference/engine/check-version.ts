import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { refOf } from '../../proto/wire/digest.ts';
import { isServiceError, ServiceError } from '../../proto/wire/errors.ts';
import { encodeManifest, type Manifest, servingArtifacts } from '../../proto/wire/manifest.ts';
import { localServableId } from '../rollout/servable.ts';
import { EngineProcess } from './engine-process.ts';
import { fromWireError } from './protocol.ts';

const ENGINE = fileURLToPath(new URL('./process.js', import.meta.url));
/** Nothing but the load is asked for: an image of this size warms the largest model up within a second or two. */
const LIMITS = { threads: 1, maxPixels: 1, warmUpPixels: 64 * 64, loadTimeoutMs: 600_000, memoryLimitBytes: 0 };

/**
 * Loads a version in an engine process of its own, golden check included, and ends it; the artifacts lie in `folder` under their
 * paths. Says nothing where it may serve.
 * @throws ServiceError as an engine's load: GOLDEN_CHECK_FAILED, LOAD_FAILED (also where the engine ended), UNSUPPORTED_MODEL,
 * DIGEST_MISMATCH; the signal's reason when aborted.
 */
export async function checkVersion(
  manifest: Manifest,
  label: string,
  folder: string,
  signal: AbortSignal,
  modulePath = ENGINE,
): Promise<void> {
  const paths = Object.fromEntries(servingArtifacts(manifest).map(({ digest, path }) => [digest, join(folder, path)]));
  const servable = { id: localServableId(refOf(encodeManifest(manifest))), label, manifest, paths };
  const { engine, failures } = await EngineProcess.start(modulePath, [servable], LIMITS, signal).catch((cause: unknown) => {
    // Here the version is what ends an engine: there is nothing else in it.
    throw isServiceError(cause, 'unavailable')
      ? new ServiceError('failed-precondition', 'LOAD_FAILED', cause.message, { cause })
      : cause;
  });
  engine.kill();
  await engine.exited;
  const [failure] = failures;
  if (failure !== undefined) {
    throw fromWireError(failure.error);
  }
}
