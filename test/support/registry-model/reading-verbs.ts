import { setImmediate } from 'node:timers/promises';
import * as fc from 'fast-check';
import { refOf } from '../../../proto/wire/digest.ts';
import type { Model } from '../../../registry/model/model.ts';
import type { Version } from '../../../registry/model/version.ts';
import type { ResolveVersionQuery } from '../../../registry/release/resolve.ts';
import { collect, never } from '../registry/publish.ts';
import { standOf, standOfEvent } from './alias-verbs.ts';
import { type Labels, type ReferenceEvent, type ReferenceRegistry, type ReferenceVersion, refuse } from './reference-registry.ts';
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
    const { version, alias, manifestJson } = await registry.resolveVersion({ model, ref }, never);
    return {
      ...partsOf(version),
      alias: alias && standOf(alias),
      isManifest: refOf(manifestJson).digest === version.manifest.digest,
    };
  },
  expect: (reference, { model, ref }) => {
    reference.model(model);
    const isAlias = ref.kind === 'alias' && ref.alias !== 'latest';
    const alias = isAlias ? (reference.current(model, ref.alias) ?? refuse('not-found', 'ALIAS_NOT_FOUND')) : undefined;
    const number = ref.kind === 'version' ? ref.version : (alias?.version ?? reference.latest(model));
    return { ...partsOfReference(reference.version(model, number)), alias: alias && standOfEvent(alias), isManifest: true };
  },
};

interface Listing {
  readonly labels: Labels;
  readonly pageSize: number;
}

export const listModels: Verb<Listing> = {
  name: 'list models',
  steps: fc.record({ labels: names.labels, pageSize: names.pageSize }),
  perform: (registry, { labels, pageSize }) =>
    allPages((pageToken) => registry.listModels({ labels, pageSize, pageToken }, never), describe),
  expect: (reference, { labels }) =>
    [...reference.models]
      .filter(([, model]) => hasAll(model.labels, labels))
      .map(([name]) => describeReference(reference, name))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
};

export const getModel: Verb<{ readonly model: string }> = {
  name: 'get model',
  steps: fc.record({ model: names.model }),
  perform: async (registry, { model }) => describe(await registry.getModel(model, never)),
  expect: (reference, { model }) => describeReference(reference, model),
};

export const listVersions: Verb<Listing & { readonly model: string }> = {
  name: 'list versions',
  steps: fc.record({ model: names.model, labels: names.labels, pageSize: names.pageSize }),
  perform: (registry, { model, labels, pageSize }) =>
    allPages((pageToken) => registry.listVersions({ model, labels, pageSize, pageToken }, never), partsOf),
  expect: (reference, { model, labels }) =>
    [...reference.model(model).versions.values()]
      .filter((version) => hasAll(version.labels, labels))
      .map(partsOfReference)
      .toReversed(),
};

/** Any file that may be there, whether a version has it or not. */
export const readBlob: Verb<{ readonly content: number; readonly file: number }> = {
  name: 'read',
  steps: fc.record({ content: names.content, file: fc.integer({ min: 0, max: 1 }) }),
  perform: async (registry, { content, file }) => {
    const blob = blobOf(content, file);
    return refOf(await collect(registry.readBlob({ blob, offsetBytes: 0, lengthBytes: undefined }, never)));
  },
  expect: (reference, { content, file }) => {
    const blob = blobOf(content, file);
    return reference.isReferenced(blob) ? blob : refuse('not-found', 'BLOB_NOT_FOUND');
  },
};

/** Between two reads of the store, and how many turns of the event loop stand for it. */
const READ_MS = 250;
const TURNS_A_READ = 100;

/** The start of a watch, whose place is kept. */
export const watchSnapshot: Verb<Readonly<Record<string, never>>> = {
  name: 'watch',
  steps: fc.constant({}),
  perform: async (registry, _step, { cursors }) => {
    const aliases: unknown[] = [];
    for await (const event of registry.watchAliases({ cursor: '', heartbeatSeconds: 3600 }, never)) {
      if (event.kind !== 'snapshot') {
        throw new Error(`${event.kind} before the snapshot's end`);
      }
      aliases.push(...event.aliases.map(standOf));
      if (event.isComplete) {
        cursors.push(event.cursor);
        break;
      }
    }
    return aliases;
  },
  expect: (reference) => {
    reference.watchedAt.push(reference.feed.length);
    return reference.aliases().map(standOfEvent);
  },
};

/** A watch that goes on from a place of an earlier one: every change since, once and in order. */
export const watchFurther: Verb<{ readonly from: number }> = {
  name: 'watch further',
  steps: fc.record({ from: fc.integer({ min: 0, max: 3 }) }),
  perform: async (registry, { from }, { cursors, clock }, reference) => {
    const cursor = cursors[from];
    const count = changesSince(reference, from).length;
    const changes: unknown[] = [];
    if (cursor !== undefined && count > 0) {
      let isOver = false;
      // What another registry wrote is found by reading again, a moment later.
      const passing = (async () => {
        for (let turn = 1; !isOver; turn += 1) {
          await setImmediate();
          if (turn % TURNS_A_READ === 0) {
            clock.advance(READ_MS);
            reference.nowMs += READ_MS;
          }
        }
      })();
      try {
        for await (const event of registry.watchAliases({ cursor, heartbeatSeconds: 3600 }, never)) {
          changes.push(event.kind === 'change' ? standOf(event.alias) : event.kind);
          if (changes.length === count) {
            break;
          }
        }
      } finally {
        isOver = true;
        await passing;
      }
    }
    return changes;
  },
  expect: (reference, { from }) => changesSince(reference, from).map(standOfEvent),
};

function changesSince(reference: ReferenceRegistry, watch: number): ReferenceEvent[] {
  const sequence = reference.watchedAt[watch];
  return sequence === undefined ? [] : reference.feed.slice(sequence);
}

function blobOf(content: number, file: number) {
  const { files } = contentOf(content);
  return refOf(files[file] ?? files[0] ?? Buffer.alloc(0));
}

async function allPages<T, R>(
  read: (pageToken: string) => Promise<{ readonly items: readonly T[]; readonly nextPageToken: string }>,
  toAnswer: (item: T) => R,
): Promise<R[]> {
  const answers: R[] = [];
  let pageToken = '';
  do {
    const { items, nextPageToken } = await read(pageToken);
    answers.push(...items.map(toAnswer));
    pageToken = nextPageToken;
  } while (pageToken !== '');
  return answers;
}

function hasAll(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}

function describe({ name, labels, latestVersion, aliases }: Model) {
  return { name: String(name), labels, latestVersion, aliases: aliases.map(standOf) };
}

function describeReference(reference: ReferenceRegistry, name: string) {
  const { labels } = reference.model(name);
  return { name, labels, latestVersion: reference.latest(name), aliases: reference.aliases(name).map(standOfEvent) };
}

function partsOf({ version, manifest, labels, deprecation }: Version) {
  return { version, digest: manifest.digest, labels, deprecation };
}

function partsOfReference({ version, content, labels, deprecation }: ReferenceVersion) {
  return { version, digest: refOf(content.manifestJson).digest, labels, deprecation };
}
