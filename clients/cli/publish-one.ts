import { ModelKind } from '../../proto/gen/maskterial/registry/v1/model.ts';
import type { Manifest } from '../../proto/wire/manifest.ts';
import type { PublishedVersion } from '../publish.ts';
import type { RegistryClient } from '../registry-client.ts';
import type { PublishOptions } from './publish-options.ts';
import type { Publishable } from './publishable.ts';
import { formatBytes, versionJson } from './registry-json.ts';
import type { UploadProgress } from './upload-progress.ts';

/** A version that the registry has now, and what it had of it before. */
export interface PublishOutcome extends PublishedVersion {
  readonly model: string;
  readonly fileCount: number;
  /** What the registry held already, each content once. */
  readonly heldBytes: number;
}

/** Publishes as a version of `model`, which is created where the options allow it and there is none. */
export async function publishOne(
  registry: RegistryClient,
  model: string,
  { manifest, manifestBytes, files }: Publishable,
  options: Pick<PublishOptions, 'create' | 'label'>,
  progress: UploadProgress,
  signal: AbortSignal,
): Promise<PublishOutcome> {
  try {
    if (options.create) {
      const { created } = await registry.ensureModel({ name: model, kind: MODEL_KINDS[manifest.kind] }, { signal });
      if (created) {
        progress.print(`created model ${model}`);
      }
    }
    const request = { model, manifestBytes, files, labels: options.label, onProgress: progress.show };
    const published = await registry.publishVersion(request, { signal });
    const sizes = new Map(files.map(({ ref }) => [ref.digest, ref.sizeBytes]));
    const totalBytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    return { ...published, model, fileCount: files.length, heldBytes: totalBytes - published.uploadedBytes };
  } finally {
    await progress.finish();
  }
}

/** Labels are a version's own, from its first publish on: those of now would be lost in silence. */
export function uploadNote({ created, uploadedBytes }: PublishOutcome, { label }: Pick<PublishOptions, 'label'>): string {
  const labels = label === undefined ? '' : '; its labels are those of then';
  return created ? `uploaded ${formatBytes(uploadedBytes)}` : `published before with this very content${labels}`;
}

/** For scripts: the version, and what of it was new to the registry. */
export function outcomeJson({
  version,
  created,
  fileCount,
  uploadedFiles,
  uploadedBytes,
  heldBytes,
}: PublishOutcome): Record<string, unknown> {
  return {
    ...versionJson(version),
    is_new: created,
    files: fileCount,
    uploaded_files: uploadedFiles,
    uploaded_bytes: uploadedBytes,
    held_bytes: heldBytes,
  };
}

export const MODEL_KINDS: Readonly<Record<Manifest['kind'], ModelKind>> = {
  segmentation: ModelKind.MODEL_KIND_SEGMENTATION,
  classification: ModelKind.MODEL_KIND_CLASSIFICATION,
  postprocessing: ModelKind.MODEL_KIND_POSTPROCESSING,
  generic: ModelKind.MODEL_KIND_GENERIC,
};
