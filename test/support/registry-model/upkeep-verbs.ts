import * as fc from 'fast-check';
import type { Digest } from '../../../proto/wire/digest.ts';
import { never } from '../registry/publish.ts';
import { expectedVersion, versionAnswer } from './answers.ts';
import { blobsOf, filesOf, refuse } from './reference-records.ts';
import type { ReferenceRegistry } from './reference-registry.ts';
import { names, type Verb } from './verb.ts';

const DAY_SECONDS = 24 * 3600;

interface Target {
  readonly model: string;
  readonly version: number;
}

const target = { model: names.model, version: names.version };

export const deprecateVersion: Verb<Target & { readonly reason: string }> = {
  name: 'deprecate',
  steps: fc.record({ ...target, reason: fc.constantFrom('blurred', '') }),
  perform: async (registry, step) => versionAnswer(await registry.deprecateVersion(step, never)),
  expect: (reference, { reason, model, version }) => {
    const found = reference.version(model, version);
    found.deprecation = { reason, timeMs: reference.nowMs };
    return expectedVersion(found);
  },
};

export const undeprecateVersion: Verb<Target> = {
  name: 'undeprecate',
  steps: fc.record(target),
  perform: async (registry, step) => versionAnswer(await registry.undeprecateVersion(step, never)),
  expect: (reference, { model, version }) => {
    const found = reference.version(model, version);
    found.deprecation = undefined;
    return expectedVersion(found);
  },
};

export const deleteVersion: Verb<Target & { readonly requestId: string }> = {
  name: 'delete',
  steps: fc.record({ ...target, requestId: names.requestId }),
  perform: (registry, step) => registry.deleteVersion({ ...step, actor: 'ada', reason: 'wrong' }, never),
  expect: (reference, { model, version, requestId }) =>
    reference.once({ operation: 'delete', id: requestId, content: [model, version] }, () => {
      reference.version(model, version);
      const pointing = reference.aliases(model).filter((event) => event.version === version);
      if (pointing.length > 0) {
        refuse('failed-precondition', 'VERSION_IN_USE', { aliases: pointing.map(({ alias }) => alias).join(', ') });
      }
      const { versions, deleted } = reference.model(model);
      versions.delete(version);
      deleted.add(version);
    }),
};

interface Collection {
  readonly isDryRun: boolean;
  readonly graceSeconds: number;
}

export const collectGarbage: Verb<Collection> = {
  name: 'gc',
  steps: fc.record({ isDryRun: fc.boolean(), graceSeconds: fc.constantFrom(0, DAY_SECONDS, 10 * DAY_SECONDS) }),
  perform: async (registry, step) => {
    const { stagingCount, blobCount, blobBytes, blobs } = await registry.collectGarbage(step, never);
    return { stagingCount, blobCount, blobBytes, digests: blobs.map(({ digest }) => digest).toSorted() };
  },
  expect: (reference, { isDryRun, graceSeconds }) => {
    const beforeMs = reference.nowMs - graceSeconds * 1000;
    const open = reference.stagings.filter(({ version, isEnded }) => version === 0 && !isEnded);
    const abandoned = open.filter(({ createTimeMs }) => createTimeMs <= beforeMs);
    const needed = new Set<Digest>(
      open
        .filter((staging) => !abandoned.includes(staging))
        .flatMap(({ content }) => blobsOf(content))
        .map(({ digest }) => digest),
    );
    const garbage = reference.blobs.stored.filter((blob) => !needed.has(blob.digest) && !reference.isReferenced(blob));
    if (!isDryRun) {
      for (const staging of abandoned) {
        staging.isEnded = true;
        for (const blob of filesOf(staging.content).filter(({ digest }) => !needed.has(digest))) {
          reference.blobs.abandon(blob);
        }
      }
      for (const blob of garbage) {
        reference.blobs.collect(blob);
      }
    }
    return {
      stagingCount: abandoned.length,
      blobCount: garbage.length,
      blobBytes: garbage.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      digests: garbage.map(({ digest }) => digest).toSorted(),
    };
  },
};

interface Passing {
  readonly seconds: number;
}

/** Time passes; sometimes a clock is set back. */
export const passTime: Verb<Passing> = {
  name: 'time',
  steps: fc.record({ seconds: fc.constantFrom(1, 1, 1, 9, 60, DAY_SECONDS, 9 * DAY_SECONDS, -3) }),
  perform: async (_registry, step, { clock }, reference) => clock.advance(passingMs(reference, step)),
  expect: (reference, step) => {
    reference.nowMs += passingMs(reference, step);
  },
};

/** No clock is set back to before the end of something: whether it is there again, a store may decide. */
function passingMs(reference: ReferenceRegistry, { seconds }: Passing): number {
  return seconds < 0 && reference.hasEndedWithin(-seconds * 1000) ? 0 : seconds * 1000;
}
