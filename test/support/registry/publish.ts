import { setMaxListeners } from 'node:events';
import { CHUNK_BYTES, MESSAGE_BYTES, messagesOf } from '../../../proto/wire/chunks.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import type { BlobUploadState } from '../../../registry/release/declared-blobs.ts';
import type { FinalizedVersion } from '../../../registry/release/finalize.ts';
import type { PromoteVersionCommand } from '../../../registry/release/promote.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import type { SampleVersion } from './sample-version.ts';

/** For calls that nothing cancels, however many there are at once. */
export const never: AbortSignal = new AbortController().signal;
setMaxListeners(0, never);

export async function createClassifier(registry: Registry, name: string, labels: Record<string, string> = {}): Promise<void> {
  await registry.createModel({ name, kind: 'classification', description: '', labels, requestId: '' }, never);
}

export async function stage(registry: Registry, model: string, sample: SampleVersion, requestId = ''): Promise<string> {
  const { staging } = await registry.stageVersion({ model, manifestJson: sample.manifestJson, labels: {}, requestId }, never);
  return staging.id;
}

/** Sends `bytes` from a chunk on; `upTo` ends the stream early. */
export function upload(
  registry: Registry,
  stagingId: string,
  bytes: Buffer,
  { firstChunk = 0, upTo = bytes.byteLength }: { firstChunk?: number; upTo?: number } = {},
): Promise<BlobUploadState> {
  const data = bytesOf(bytes.subarray(firstChunk * CHUNK_BYTES, upTo));
  return registry.uploadBlob({ stagingId, blob: refOf(bytes), firstChunk, data }, never);
}

/** Stage, upload all, finalize. */
export async function publish(registry: Registry, model: string, sample: SampleVersion): Promise<FinalizedVersion> {
  const stagingId = await stage(registry, model, sample);
  for (const bytes of sample.files) {
    await upload(registry, stagingId, bytes);
  }
  return registry.finalizeVersion({ stagingId, requestId: '' }, never);
}

export function promotion(change: Partial<PromoteVersionCommand> & Pick<PromoteVersionCommand, 'model'>): PromoteVersionCommand {
  return {
    version: 1,
    alias: 'production',
    expectedRevision: undefined,
    reason: '',
    actor: '',
    requestId: '',
    requireReady: 0,
    ...change,
  };
}

export async function* bytesOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield* messagesOf(bytes, MESSAGE_BYTES);
}

export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) {
    parts.push(piece);
  }
  return Buffer.concat(parts);
}
