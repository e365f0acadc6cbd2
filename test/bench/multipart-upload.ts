import { open } from 'node:fs/promises';
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { CHUNK_BYTES, chunkCount, chunkRange } from '../../proto/wire/chunks.ts';
import { createS3Client } from '../../registry/adapters/aws/aws-clients.ts';
import type { AwsSettings } from '../../registry/adapters/aws/aws-settings.ts';

const PARTS_AT_ONCE = 4;

/** What any program would do that only wants files in a bucket: nothing is hashed but what the SDK signs and checks by itself. */
export async function multipartUpload(
  settings: AwsSettings,
  files: readonly { readonly path: string; readonly sizeBytes: number }[],
): Promise<void> {
  const client = createS3Client(settings);
  for (const [index, { path, sizeBytes }] of files.entries()) {
    const place = { Bucket: settings.bucket, Key: `${settings.prefix}/bare/${index}` };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(place));
    const file = await open(path, 'r');
    const numbers = Array.from({ length: chunkCount(sizeBytes) }, (_, part) => part).values();
    const parts: CompletedPart[] = [];
    const worker = async (): Promise<void> => {
      // All take from the same list.
      for (const part of numbers) {
        const { offsetBytes, lengthBytes } = chunkRange(part, sizeBytes);
        const body = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, lengthBytes));
        await file.read(body, 0, lengthBytes, offsetBytes);
        const { ETag } = await client.send(new UploadPartCommand({ ...place, UploadId, PartNumber: part + 1, Body: body }));
        parts.push({ PartNumber: part + 1, ETag });
      }
    };
    await Promise.all(Array.from({ length: PARTS_AT_ONCE }, worker));
    await file.close();
    const sorted = parts.toSorted((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
    await client.send(new CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts: sorted } }));
  }
  client.destroy();
}
