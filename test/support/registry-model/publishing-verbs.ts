import * as fc from 'fast-check';
import { refOf } from '../../../proto/wire/digest.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { bytesOf, never } from '../registry/publish.ts';
import type { SampleVersion } from '../registry/sample-version.ts';
import { blobsOf, type Labels, type ReferenceRegistry, type ReferenceStaging, refuse } from './reference-registry.ts';
import { contentOf, names, type RealRegistry, type Verb } from './verb.ts';

interface Creation {
  readonly model: string;
  readonly labels: Labels;
  readonly requestId: string;
}

export const createModel: Verb<Creation> = {
  name: 'create',
  steps: fc.record({ model: names.model, labels: names.labels, requestId: names.requestId }),
  perform: async (registry, { model, labels, requestId }) => {
    const command = { name: model, kind: 'classification' as const, description: '', labels, requestId };
    const created = await registry.createModel(command, never);
    return { labels: created.labels };
  },
  expect: (reference, { model, labels, requestId }) =>
    reference.once({ operation: 'create', id: requestId, content: [model, labels] }, () => {
      if (reference.models.has(model)) {
        refuse('already-exists', 'MODEL_EXISTS');
      }
      reference.models.set(model, { labels, count: 0, versions: new Map(), deleted: new Set(), undo: new Map() });
      return { labels };
    }),
};

interface Staging {
  readonly model: string;
  readonly content: number;
  readonly labels: Labels;
  readonly requestId: string;
}

export const stageVersion: Verb<Staging> = {
  name: 'stage',
  steps: fc.record({ model: names.model, content: names.content, labels: names.labels, requestId: names.requestId }),
  perform: async (registry, step, real) => stage(registry, step, real),
  expect: (reference, step) => expectStage(reference, step),
};

async function stage(registry: Registry, { model, content, labels, requestId }: Staging, real: RealRegistry) {
  const { manifestJson } = contentOf(content);
  const { staging, blobs } = await registry.stageVersion({ model, manifestJson, labels, requestId }, never);
  if (!real.stagingIds.includes(staging.id)) {
    real.stagingIds.push(staging.id);
  }
  const index = real.stagingIds.indexOf(staging.id);
  return { staging: index, complete: blobs.map(({ isComplete }) => isComplete) };
}

function expectStage(reference: ReferenceRegistry, { model, content, labels, requestId }: Staging) {
  reference.model(model);
  const sample = contentOf(content);
  const staged = (index: number): { staging: number; complete: boolean[] } => {
    const [manifest, ...files] = blobsOf(sample);
    reference.stored.set(refOf(sample.manifestJson).digest, manifest?.sizeBytes ?? 0);
    const distinct = new Set(files.map(({ digest }) => digest));
    return { staging: index, complete: [...distinct].map((digest) => reference.stored.has(digest)) };
  };
  return reference.once(
    { operation: 'stage', id: requestId, content: [model, content, labels] },
    () => {
      const { nowMs } = reference;
      reference.stagings.push({ model, content: sample, labels, createTimeMs: nowMs, version: 0, isEnded: false });
      return staged(reference.stagings.length - 1);
    },
    ({ staging }) => {
      openOrFinalized(reference, staging);
      return staged(staging);
    },
  );
}

interface Upload {
  readonly staging: number;
  readonly file: number;
}

export const uploadBlob: Verb<Upload> = {
  name: 'upload',
  steps: fc.record({ staging: names.staging, file: fc.integer({ min: 0, max: 1 }) }),
  perform: async (registry, { staging, file }, { stagingIds, restoresCollected }, reference) => {
    passOverCollected(reference, staging, restoresCollected);
    const bytes = fileOf(reference.stagings[staging]?.content ?? contentOf(0), file);
    const command = { stagingId: stagingIds[staging] ?? 'unknown', blob: refOf(bytes), firstChunk: 0, data: bytesOf(bytes) };
    return (await registry.uploadBlob(command, never)).isComplete;
  },
  expect: (reference, { staging, file }) => {
    const { content } = openOrFinalized(reference, staging);
    requireManifest(reference, content);
    const bytes = fileOf(content, file);
    reference.stored.set(refOf(bytes).digest, bytes.byteLength);
    return true;
  },
};

interface Finalization {
  readonly staging: number;
  readonly requestId: string;
}

export const finalizeVersion: Verb<Finalization> = {
  name: 'finalize',
  steps: fc.record({ staging: names.staging, requestId: names.requestId }),
  perform: async (registry, step, { stagingIds }) => finalize(registry, stagingIds[step.staging] ?? 'unknown', step.requestId),
  expect: (reference, step) => expectFinalize(reference, step),
};

async function finalize(registry: Registry, stagingId: string, requestId: string) {
  const { version, isCreated } = await registry.finalizeVersion({ stagingId, requestId }, never);
  return { version: version.version, digest: version.manifest.digest, labels: version.labels, isCreated };
}

function expectFinalize(reference: ReferenceRegistry, { staging: index, requestId }: Finalization) {
  const answer = () => {
    const staging = openOrFinalized(reference, index);
    requireNotDeleted(reference, staging);
    const missing = blobsOf(staging.content).some(({ digest }) => !reference.stored.has(digest));
    if (missing) {
      refuse('failed-precondition', 'BLOBS_MISSING');
    }
    const model = reference.model(staging.model);
    const { digest } = refOf(staging.content.manifestJson);
    const existing = [...model.versions.values()].find(({ content }) => refOf(content.manifestJson).digest === digest);
    if (existing === undefined) {
      model.count++;
      const { content, labels } = staging;
      model.versions.set(model.count, { version: model.count, content, labels, deprecation: undefined });
    }
    staging.version = existing?.version ?? model.count;
    const { version, labels } = reference.version(staging.model, staging.version);
    return { version, digest, labels, isCreated: existing === undefined };
  };
  return reference.once({ operation: 'finalize', id: requestId, content: index }, answer, (first) => {
    requireNotDeleted(reference, openOrFinalized(reference, index));
    return first;
  });
}

interface Publication {
  readonly model: string;
  readonly content: number;
  readonly labels: Labels;
}

/** All steps of a publication in one, so that short sequences get far. */
export const publishVersion: Verb<Publication> = {
  name: 'publish',
  steps: fc.record({ model: names.model, content: names.content, labels: names.labels }),
  perform: async (registry, step, real) => {
    const { staging } = await stage(registry, { ...step, requestId: '' }, real);
    const stagingId = real.stagingIds[staging] ?? '';
    for (const bytes of contentOf(step.content).files) {
      await registry.uploadBlob({ stagingId, blob: refOf(bytes), firstChunk: 0, data: bytesOf(bytes) }, never);
    }
    return finalize(registry, stagingId, '');
  },
  expect: (reference, step) => {
    const { staging } = expectStage(reference, { ...step, requestId: '' });
    for (const bytes of contentOf(step.content).files) {
      reference.stored.set(refOf(bytes).digest, bytes.byteLength);
    }
    return expectFinalize(reference, { staging, requestId: '' });
  },
};

function openOrFinalized(reference: ReferenceRegistry, index: number): ReferenceStaging {
  return reference.staging(index) ?? refuse('not-found', 'STAGING_NOT_FOUND');
}

function requireNotDeleted(reference: ReferenceRegistry, { model, version }: ReferenceStaging): void {
  if (reference.model(model).deleted.has(version)) {
    refuse('failed-precondition', 'VERSION_DELETED');
  }
}

/** The reference does not know whether a manifest that was collected is still there to come back: such a call is not made. */
function passOverCollected(reference: ReferenceRegistry, index: number, restoresCollected: boolean): void {
  const staging = reference.staging(index);
  if (restoresCollected && staging !== undefined) {
    requireManifest(reference, staging.content);
  }
}

/** It goes with the version that a staging became, once garbage is collected. */
function requireManifest(reference: ReferenceRegistry, { manifestJson }: SampleVersion): void {
  if (!reference.stored.has(refOf(manifestJson).digest)) {
    refuse('not-found', 'BLOB_NOT_FOUND');
  }
}

function fileOf({ files }: SampleVersion, index: number): Buffer {
  return files[index] ?? files[0] ?? Buffer.alloc(0);
}
