import * as fc from 'fast-check';
import { CHUNK_BYTES, chunkCount } from '../../../proto/wire/chunks.ts';
import { type BlobRef, refOf } from '../../../proto/wire/digest.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { bytesOf, never } from '../registry/publish.ts';
import { uploadAnswer } from './answers.ts';
import { filesOf, refuse } from './reference-records.ts';
import type { ReferenceRegistry } from './reference-registry.ts';
import { requireManifest, requireStaging } from './staging-verbs.ts';
import { contentOf, names, stagingOf, type Verb } from './verb.ts';

interface Upload {
  readonly staging: number;
  /** Of those that are missing, or of the others where none is; 2: one that no manifest declares. */
  readonly file: number;
  /** Of those there are; -1: one beyond. */
  readonly first: number;
  /** Chunks that are sent at most. */
  readonly count: number;
  /** The last chunk that is sent: as it is, cut short, cut off by a broken connection, other bytes, or with bytes after it. */
  readonly end: 'whole' | 'short' | 'broken' | 'wrong' | 'long';
}

const UNDECLARED = Buffer.from('declared by nobody');
const TOO_MANY = Buffer.from('too many');

/** A blob or a part of it, whose last bytes may go wrong in any way. */
export const uploadBlob: Verb<Upload> = {
  name: 'upload',
  steps: fc.record({
    staging: names.staging,
    file: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2),
    first: fc.constantFrom(0, 0, 0, 1, 1, 2, 2, 2, -1),
    count: fc.constantFrom(1, 1, 1, 2, 3, 0),
    end: fc.constantFrom('whole', 'whole', 'whole', 'short', 'broken', 'wrong', 'long'),
  }),
  perform: async (registry, step, { stagingIds }, reference) => {
    const { bytes, blob, firstChunk } = partOf(reference, step);
    const stagingId = stagingIds[stagingOf(reference, step.staging)] ?? 'unknown';
    const command = { stagingId, blob, firstChunk, data: sent(bytes, firstChunk, step) };
    return uploadAnswer(await registry.uploadBlob(command, never));
  },
  expect: (reference, step) => {
    const staging = requireStaging(reference, stagingOf(reference, step.staging));
    requireManifest(reference, staging);
    const { blob, firstChunk } = partOf(reference, step);
    if (step.file === 2) {
      refuse('not-found', 'BLOB_NOT_DECLARED');
    }
    if (step.first === -1) {
      refuse('invalid-argument', 'INVALID_REQUEST');
    }
    if (!reference.blobs.has(blob)) {
      receive(reference, blob, firstChunk, step);
      reference.blobs.commit(blob);
    }
    return reference.blobs.state(blob);
  },
};

interface TwoUploads {
  readonly staging: number;
  readonly file: number;
  /** Chunks that the one sends; the other sends the others. */
  readonly split: number;
}

/** One blob from two publishers at once, by two registries and for two stagings where there are: each sends a part of it. */
export const uploadTogether: Verb<TwoUploads> = {
  name: 'upload together',
  steps: fc.record({ staging: names.staging, file: fc.constantFrom(0, 1), split: fc.integer({ min: 0, max: 3 }) }),
  perform: async (registry, step, { registries, stagingIds }, reference, by) => {
    const { bytes, blob } = partOf(reference, { ...step, first: 0 });
    const upload = (to: Registry, staging: number, firstChunk: number, endChunk: number) => {
      const data = bytesOf(bytes.subarray(firstChunk * CHUNK_BYTES, endChunk * CHUNK_BYTES));
      const command = { stagingId: stagingIds[staging] ?? 'unknown', blob, data };
      return to.uploadBlob({ ...command, firstChunk: firstChunk < endChunk ? firstChunk : 0 }, never);
    };
    const chunks = chunkCount(blob.sizeBytes);
    const split = Math.min(step.split, chunks);
    const staging = stagingOf(reference, step.staging);
    const ended = await Promise.allSettled([
      upload(registry, staging, 0, split),
      upload(registries[(by + 1) % registries.length] ?? registry, otherOf(reference, staging, blob), split, chunks),
    ]);
    const failed = ended.find((one) => one.status === 'rejected');
    if (failed !== undefined) {
      throw failed.reason;
    }
    const { blobs } = await registry.getStaging(stagingIds[staging] ?? 'unknown', never);
    return blobs.filter((state) => state.blob.digest === blob.digest).map(uploadAnswer);
  },
  expect: (reference, step) => {
    requireManifest(reference, requireStaging(reference, stagingOf(reference, step.staging)));
    const { blob } = partOf(reference, { ...step, first: 0 });
    reference.blobs.store(blob);
    return [reference.blobs.state(blob)];
  },
};

/** Another open staging of the same blob, where there is one and this one is open too: both are taken, or neither. */
function otherOf({ stagings }: ReferenceRegistry, staging: number, { digest }: BlobRef): number {
  const open = [...stagings.keys()].filter((number) => {
    const candidate = stagings[number];
    const isOpen = candidate?.version === 0 && !candidate.isEnded;
    return isOpen && filesOf(candidate.content).some((blob) => blob.digest === digest);
  });
  return open.includes(staging) ? (open.findLast((number) => number !== staging) ?? staging) : staging;
}

function receive({ blobs }: ReferenceRegistry, blob: BlobRef, firstChunk: number, { count, end }: Upload): void {
  const endChunk = Math.min(chunkCount(blob.sizeBytes), firstChunk + count);
  const isAnySent = endChunk > firstChunk;
  // What follows a full chunk begins one of its own, so the chunk itself is good.
  const isLastGood = end === 'whole' || (end === 'long' && endChunk * CHUNK_BYTES <= blob.sizeBytes);
  for (let chunk = firstChunk; chunk < endChunk - (isLastGood ? 0 : 1); chunk++) {
    blobs.hold(blob, chunk);
  }
  if (end === 'broken') {
    refuse('cancelled', 'CANCELLED');
  }
  if (end === 'long' || (end === 'short' && isAnySent)) {
    refuse('data-loss', 'SIZE_MISMATCH');
  }
  if (end === 'wrong' && isAnySent) {
    refuse('data-loss', 'DIGEST_MISMATCH');
  }
}

async function* sent(bytes: Buffer, firstChunk: number, { count, end }: Upload): AsyncGenerator<Uint8Array> {
  const part = bytes.subarray(firstChunk * CHUNK_BYTES, (firstChunk + count) * CHUNK_BYTES);
  const lastBytes = part.byteLength % CHUNK_BYTES || Math.min(part.byteLength, CHUNK_BYTES);
  const before = part.subarray(0, part.byteLength - lastBytes);
  const last = part.subarray(before.byteLength);
  yield* bytesOf(before);
  switch (end) {
    case 'whole':
      return yield* bytesOf(last);
    case 'short':
      return yield* bytesOf(last.subarray(0, lastBytes / 2));
    case 'broken':
      yield* bytesOf(last.subarray(0, lastBytes / 2));
      throw new ServiceError('cancelled', 'CANCELLED', 'the connection broke');
    case 'wrong': {
      const wrong = Buffer.from(last);
      wrong[0] = (wrong[0] ?? 0) ^ 1;
      return yield* bytesOf(wrong);
    }
    case 'long':
      yield* bytesOf(last);
      yield TOO_MANY;
  }
}

function partOf(reference: ReferenceRegistry, { staging, file, first }: Pick<Upload, 'staging' | 'file' | 'first'>) {
  const content = reference.stagings[stagingOf(reference, staging)]?.content ?? contentOf(0);
  const all = filesOf(content).map((blob, index) => ({ blob, bytes: content.files[index] ?? UNDECLARED }));
  const isMissing = ({ blob }: (typeof all)[number]): boolean => !reference.blobs.has(blob);
  const ordered = [...all.filter(isMissing), ...all.filter((one) => !isMissing(one))];
  const meant = file === 2 ? undefined : ordered[file % ordered.length];
  const { blob, bytes } = meant ?? { blob: refOf(UNDECLARED), bytes: UNDECLARED };
  const chunks = chunkCount(blob.sizeBytes);
  // An empty file has no chunk, and is sent from the first.
  return { blob, bytes, firstChunk: first === -1 ? Math.max(1, chunks) : first % Math.max(1, chunks) };
}
