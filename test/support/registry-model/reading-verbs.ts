import * as fc from 'fast-check';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { digestOf, refOf } from '../../../proto/wire/digest.ts';
import type { ResolveVersionQuery } from '../../../registry/release/resolve.ts';
import { collect, never } from '../registry/publish.ts';
import { aliasAnswer, expectedAlias, expectedModel, expectedVersion, modelAnswer, versionAnswer } from './answers.ts';
import { allPages } from './pages.ts';
import { blobsOf, filesOf, type Labels, refuse } from './reference-records.ts';
import { contentOf, names, type Verb } from './verb.ts';

interface Resolution {
  readonly model: string;
  readonly ref: NonNullable<ResolveVersionQuery['ref']>;
}

export const resolveVersion: Verb<Resolution> = {
  name: 'resolve',
  steps: fc.record({
    model: names.model,
    ref: fc.oneof(
      fc.record({ kind: fc.constant('version' as const), version: names.version }),
      fc.record({ kind: fc.constant('alias' as const), alias: fc.oneof(names.alias, fc.constant('latest')) }),
    ),
  }),
  perform: async (registry, { model, ref }) => {
    const { version, alias, manifestJson, locations } = await registry.resolveVersion({ model, ref }, never);
    return {
      version: versionAnswer(version),
      alias: alias && aliasAnswer(alias),
      manifestDigest: refOf(manifestJson).digest,
      located: locations.map(({ digest, locations: places }) => ({ digest, last: places.at(-1)?.kind })),
    };
  },
  expect: (reference, { model, ref }) => {
    reference.model(model);
    const isAlias = ref.kind === 'alias' && ref.alias !== 'latest';
    const alias = isAlias ? (reference.current(model, ref.alias) ?? refuse('not-found', 'ALIAS_NOT_FOUND')) : undefined;
    const number = ref.kind === 'version' ? ref.version : (alias?.version ?? reference.latest(model));
    const version = reference.version(model, number);
    const digests = new Set(blobsOf(version.content).map(({ digest }) => digest));
    return {
      version: expectedVersion(version),
      alias: alias && expectedAlias(alias),
      manifestDigest: refOf(version.content.manifestJson).digest,
      located: [...digests].map((digest) => ({ digest, last: 'registry' })),
    };
  },
};

interface Listing {
  readonly labels: Labels;
  readonly pageSize: number;
}

export const listModels: Verb<Listing> = {
  name: 'list models',
  steps: fc.record({ labels: names.labels, pageSize: names.pageSize }),
  perform: (registry, query) =>
    allPages((pageToken) => registry.listModels({ ...query, pageToken }, never), modelAnswer, query.pageSize),
  expect: (reference, { labels }) =>
    [...reference.models]
      .filter(([, model]) => hasAll(model.labels, labels))
      .map(([name]) => expectedModel(reference, name))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
};

export const getModel: Verb<{ readonly model: string }> = {
  name: 'get model',
  steps: fc.record({ model: names.model }),
  perform: async (registry, { model }) => modelAnswer(await registry.getModel(model, never)),
  expect: (reference, { model }) => expectedModel(reference, model),
};

export const getVersion: Verb<{ readonly model: string; readonly version: number }> = {
  name: 'get version',
  steps: fc.record({ model: names.model, version: names.version }),
  perform: async (registry, step) => versionAnswer(await registry.getVersion(step, never)),
  expect: (reference, { model, version }) => expectedVersion(reference.version(model, version)),
};

export const listVersions: Verb<Listing & { readonly model: string }> = {
  name: 'list versions',
  steps: fc.record({ model: names.model, labels: names.labels, pageSize: names.pageSize }),
  perform: (registry, query) =>
    allPages((pageToken) => registry.listVersions({ ...query, pageToken }, never), versionAnswer, query.pageSize),
  expect: (reference, { model, labels }) =>
    [...reference.model(model).versions.values()]
      .filter((version) => hasAll(version.labels, labels))
      .map(expectedVersion)
      .toReversed(),
};

interface Reading {
  readonly content: number;
  readonly file: number;
  /** Counted from the start, from the first chunk's end, or from the end. */
  readonly from: readonly ['start' | 'chunk' | 'end', number];
  /** Undefined: to the end. */
  readonly lengthBytes: number | undefined;
}

/** Any part of any file that may be there, whether a version has it or not. */
export const readBlob: Verb<Reading> = {
  name: 'read',
  steps: fc.record({
    content: names.content,
    file: fc.integer({ min: 0, max: 1 }),
    from: fc.constantFrom(
      ['start', 0] as const,
      ['start', 0] as const,
      ['start', 90] as const,
      ['chunk', 0] as const,
      ['chunk', -90] as const,
      ['end', -90] as const,
      ['end', 0] as const,
      ['end', 1] as const,
    ),
    lengthBytes: fc.constantFrom(undefined, undefined, 0, 1, 80, 200, CHUNK_BYTES),
  }),
  perform: async (registry, step) => {
    const { blob, offsetBytes } = rangeOf(step);
    const read = await collect(registry.readBlob({ blob, offsetBytes, lengthBytes: step.lengthBytes }, never));
    return { bytes: read.byteLength, digest: digestOf(read) };
  },
  expect: (reference, step) => {
    const { blob, bytes, offsetBytes } = rangeOf(step);
    const endBytes = step.lengthBytes === undefined ? blob.sizeBytes : offsetBytes + step.lengthBytes;
    if (offsetBytes < 0 || offsetBytes > blob.sizeBytes || endBytes > blob.sizeBytes) {
      refuse('invalid-argument', 'INVALID_REQUEST');
    }
    if (!reference.isReferenced(blob)) {
      refuse('not-found', 'BLOB_NOT_FOUND');
    }
    const part = bytes.subarray(offsetBytes, endBytes);
    return { bytes: part.byteLength, digest: part.byteLength === blob.sizeBytes ? blob.digest : digestOf(part) };
  },
};

function rangeOf({ content, file, from: [place, shift] }: Reading) {
  const { files } = contentOf(content);
  const blob = filesOf(contentOf(content))[file];
  const bytes = files[file];
  if (blob === undefined || bytes === undefined) {
    throw new Error(`content ${content} has no file ${file}`);
  }
  const origin = { start: 0, chunk: CHUNK_BYTES, end: blob.sizeBytes }[place];
  return { blob, bytes, offsetBytes: origin + shift };
}

function hasAll(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}
