import * as fc from 'fast-check';
import { refOf } from '../../../proto/wire/digest.ts';
import type { StagedVersion } from '../../../registry/release/stage.ts';
import { never } from '../registry/publish.ts';
import { uploadAnswer } from './answers.ts';
import { filesOf, type Labels, type ReferenceStaging, refuse } from './reference-records.ts';
import type { ReferenceRegistry } from './reference-registry.ts';
import { contentOf, names, type RealRegistry, stagingOf, type Verb } from './verb.ts';

export interface Staging {
  readonly model: string;
  readonly content: number;
  readonly labels: Labels;
  readonly requestId: string;
}

export const stageVersion: Verb<Staging> = {
  name: 'stage',
  steps: fc.record({
    model: names.model,
    content: fc.constantFrom(0, 1, 2, 3, 4, 4, 5, 5),
    labels: names.labels,
    requestId: names.requestId,
  }),
  perform: async (registry, { model, content, labels, requestId }, real) => {
    const { manifestJson } = contentOf(content);
    return stagedAnswer(await registry.stageVersion({ model, manifestJson, labels, requestId }, never), real);
  },
  expect: (reference, step) => expectStage(reference, step),
};

export function expectStage(reference: ReferenceRegistry, { model, content, labels, requestId }: Staging) {
  const sample = contentOf(content);
  if (reference.model(model).kind !== sample.manifest.kind) {
    refuse('failed-precondition', 'KIND_MISMATCH');
  }
  const staged = (index: number) => {
    reference.blobs.store(refOf(sample.manifestJson));
    return expectedStaging(reference, index, requireStaging(reference, index));
  };
  return reference.once(
    { operation: 'stage', id: requestId, content: [model, content, labels] },
    () => {
      const { nowMs } = reference;
      reference.stagings.push({ model, content: sample, labels, createTimeMs: nowMs, version: 0, isEnded: false });
      return staged(reference.stagings.length - 1);
    },
    ({ staging }) => staged(staging),
  );
}

export const getStaging: Verb<{ readonly staging: number }> = {
  name: 'get staging',
  steps: fc.record({ staging: names.staging }),
  perform: async (registry, { staging }, real, reference) =>
    stagedAnswer(await registry.getStaging(real.stagingIds[stagingOf(reference, staging)] ?? 'unknown', never), real),
  expect: (reference, { staging: ago }) => {
    const index = stagingOf(reference, ago);
    const staging = requireStaging(reference, index);
    requireManifest(reference, staging);
    return expectedStaging(reference, index, staging);
  },
};

/** Stagings are known by number: their ids are chance. */
export function stagedAnswer({ staging, blobs }: StagedVersion, { stagingIds }: RealRegistry) {
  if (!stagingIds.includes(staging.id)) {
    stagingIds.push(staging.id);
  }
  return {
    staging: stagingIds.indexOf(staging.id),
    model: String(staging.model),
    manifest: staging.manifest,
    createTimeMs: staging.createTimeMs,
    blobs: blobs.map(uploadAnswer),
  };
}

function expectedStaging(reference: ReferenceRegistry, index: number, { model, content, createTimeMs }: ReferenceStaging) {
  const distinct = new Map(filesOf(content).map((blob) => [blob.digest, blob]));
  const blobs = [...distinct.values()].map((blob) => reference.blobs.state(blob));
  return { staging: index, model, manifest: refOf(content.manifestJson), createTimeMs, blobs };
}

/** One that is open, or that became a version. */
export function requireStaging(reference: ReferenceRegistry, index: number): ReferenceStaging {
  return reference.staging(index) ?? refuse('not-found', 'STAGING_NOT_FOUND');
}

/** It goes with the version that a staging became, once garbage is collected. */
export function requireManifest(reference: ReferenceRegistry, { content }: ReferenceStaging): void {
  if (!reference.blobs.need(refOf(content.manifestJson))) {
    refuse('not-found', 'BLOB_NOT_FOUND');
  }
}
