import * as fc from 'fast-check';
import { refOf } from '../../../proto/wire/digest.ts';
import type { ModelKind } from '../../../registry/model/model.ts';
import type { FinalizedVersion } from '../../../registry/release/finalize.ts';
import { bytesOf, never } from '../registry/publish.ts';
import { expectedModel, expectedVersion, modelAnswer, versionAnswer } from './answers.ts';
import { blobsOf, filesOf, type Labels, type ReferenceStaging, refuse } from './reference-records.ts';
import type { ReferenceRegistry } from './reference-registry.ts';
import { expectStage, requireStaging, type Staging, stagedAnswer } from './staging-verbs.ts';
import { contentOf, names, stagingOf, type Verb } from './verb.ts';

interface Creation {
  readonly model: string;
  readonly kind: ModelKind;
  readonly labels: Labels;
  readonly requestId: string;
}

export const createModel: Verb<Creation> = {
  name: 'create',
  steps: fc.record({
    model: names.model,
    kind: fc.constantFrom<ModelKind>('classification', 'classification', 'classification', 'classification', 'segmentation'),
    labels: names.labels,
    requestId: names.requestId,
  }),
  perform: async (registry, { model, kind, labels, requestId }) => {
    const command = { name: model, kind, description: `${model}, a ${kind}`, labels, requestId };
    return modelAnswer(await registry.createModel(command, never));
  },
  expect: (reference, { model, kind, labels, requestId }) =>
    reference.once({ operation: 'create', id: requestId, content: [model, kind, labels] }, () => {
      if (reference.models.has(model)) {
        refuse('already-exists', 'MODEL_EXISTS');
      }
      const fixed = { kind, description: `${model}, a ${kind}`, labels, createTimeMs: reference.nowMs };
      reference.models.set(model, { ...fixed, count: 0, versions: new Map(), deleted: new Set(), undo: new Map() });
      return expectedModel(reference, model);
    }),
};

interface Finalization {
  readonly staging: number;
  readonly requestId: string;
}

export const finalizeVersion: Verb<Finalization> = {
  name: 'finalize',
  steps: fc.record({ staging: names.staging, requestId: names.requestId }),
  perform: async (registry, { staging, requestId }, { stagingIds }, reference) => {
    const stagingId = stagingIds[stagingOf(reference, staging)] ?? 'unknown';
    return finalizedAnswer(await registry.finalizeVersion({ stagingId, requestId }, never));
  },
  expect: (reference, { staging, requestId }) => expectFinalize(reference, { staging: stagingOf(reference, staging), requestId }),
};

function finalizedAnswer({ version, isCreated }: FinalizedVersion) {
  return { version: versionAnswer(version), isCreated };
}

function expectFinalize(reference: ReferenceRegistry, { staging: index, requestId }: Finalization) {
  const first = reference.once({ operation: 'finalize', id: requestId, content: index }, () => {
    const staging = requireStaging(reference, index);
    requireNotDeleted(reference, staging);
    requireBlobs(reference, staging);
    const model = reference.model(staging.model);
    const { digest } = refOf(staging.content.manifestJson);
    const existing = [...model.versions.values()].find(({ content }) => refOf(content.manifestJson).digest === digest);
    if (existing === undefined) {
      model.count++;
      const { model: name, content, labels } = staging;
      const made = { model: name, version: model.count, content, labels, createTimeMs: reference.nowMs };
      model.versions.set(model.count, { ...made, deprecation: undefined });
    }
    staging.version = existing?.version ?? model.count;
    return { isCreated: existing === undefined };
  });
  const staging = requireStaging(reference, index);
  requireNotDeleted(reference, staging);
  return { version: expectedVersion(reference.version(staging.model, staging.version)), ...first };
}

function requireBlobs({ blobs }: ReferenceRegistry, { content }: ReferenceStaging): void {
  // All of them: each comes back by itself, where any does.
  const missing = blobsOf(content).filter((blob) => !blobs.need(blob));
  const count = new Set(missing.map(({ digest }) => digest)).size;
  if (count > 0) {
    refuse('failed-precondition', 'BLOBS_MISSING', { missing_count: String(count) });
  }
}

function requireNotDeleted(reference: ReferenceRegistry, { model, version }: ReferenceStaging): void {
  if (reference.model(model).deleted.has(version)) {
    refuse('failed-precondition', 'VERSION_DELETED');
  }
}

/** All steps of a publication in one, so that short sequences get far. */
export const publishVersion: Verb<Omit<Staging, 'requestId'>> = {
  name: 'publish',
  steps: fc.record({
    model: names.model,
    content: fc.constantFrom(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5),
    labels: names.labels,
  }),
  perform: async (registry, { model, content, labels }, real) => {
    const { manifestJson, files } = contentOf(content);
    const staged = await registry.stageVersion({ model, manifestJson, labels, requestId: '' }, never);
    stagedAnswer(staged, real);
    const stagingId = staged.staging.id;
    for (const [index, blob] of filesOf(contentOf(content)).entries()) {
      const data = bytesOf(files[index] ?? Buffer.alloc(0));
      await registry.uploadBlob({ stagingId, blob, firstChunk: 0, data }, never);
    }
    return finalizedAnswer(await registry.finalizeVersion({ stagingId, requestId: '' }, never));
  },
  expect: (reference, step) => {
    const { staging } = expectStage(reference, { ...step, requestId: '' });
    for (const blob of filesOf(contentOf(step.content))) {
      reference.blobs.store(blob);
    }
    return expectFinalize(reference, { staging, requestId: '' });
  },
};
