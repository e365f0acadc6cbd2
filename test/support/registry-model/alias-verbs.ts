import * as fc from 'fast-check';
import type { AliasMove } from '../../../registry/release/promote.ts';
import { never } from '../registry/publish.ts';
import { aliasAnswer, eventAnswer, expectedAlias, expectedEvent } from './answers.ts';
import { allPages } from './pages.ts';
import { type ReferenceEvent, refuse } from './reference-records.ts';
import type { ReferenceRegistry } from './reference-registry.ts';
import { NEWEST, names, type Verb, versionOf } from './verb.ts';

interface Move {
  readonly model: string;
  readonly alias: string;
  /** Compared with where the alias stands, with that place plus one, or not at all. */
  readonly expected: 'right' | 'wrong' | 'any';
  readonly actor: string;
  readonly reason: string;
  readonly requestId: string;
}

interface Promotion extends Move {
  readonly version: number;
  readonly requireReady: number;
}

const move = {
  model: names.model,
  alias: names.alias,
  expected: fc.constantFrom('right' as const, 'wrong' as const, 'any' as const, 'any' as const),
  actor: fc.constantFrom('ada', ''),
  reason: fc.constantFrom('why not', ''),
  requestId: names.requestId,
};

export const promoteVersion: Verb<Promotion> = {
  name: 'promote',
  steps: fc.record({
    ...move,
    version: fc.oneof(names.version, fc.constant(NEWEST)),
    requireReady: fc.constantFrom(0, 0, 0, 1, 1, 2),
  }),
  perform: async (registry, step, _real, reference) => {
    const { requireReady } = step;
    const version = versionOf(reference, step.model, step.version);
    const moved = await registry.promoteVersion({ ...commandOf(reference, step), version, requireReady }, never);
    return { ...moveAnswer(moved), deprecation: moved.deprecation };
  },
  expect: (reference, step, by) => {
    const { model, alias, actor, reason, requireReady } = step;
    const version = versionOf(reference, model, step.version);
    const expectedRevision = revisionOf(reference, step) ?? null;
    const content = [model, alias, version, expectedRevision, actor, reason, requireReady];
    const promoted = () => {
      if (reference.models.get(model)?.deleted.has(version) === true) {
        refuse('failed-precondition', 'VERSION_DELETED');
      }
      const { deprecation } = reference.version(model, version);
      const current = reference.current(model, alias);
      checkRevision(current, expectedRevision);
      if (current?.version === version) {
        return { ...expectedMove(current, version), deprecation };
      }
      reference.live(by).requireReady(reference, { model, alias, version }, requireReady);
      const { undo } = reference.model(model);
      undo.set(alias, [...(undo.get(alias) ?? []), version]);
      const event = reference.move({ model, alias, action: 'promote', version, actor, reason });
      return { ...expectedMove(event, event.fromVersion), deprecation };
    };
    const request = { operation: 'promote', id: step.requestId, content };
    return reference.once(request, promoted, (first) => ({ ...first, deprecation: undefined }));
  },
};

export const rollbackAlias: Verb<Move> = {
  name: 'rollback',
  steps: fc.record(move),
  perform: async (registry, step, _real, reference) =>
    moveAnswer(await registry.rollbackAlias(commandOf(reference, step), never)),
  expect: (reference, step) => {
    const { model, alias, actor, reason } = step;
    const expectedRevision = revisionOf(reference, step) ?? null;
    const content = [model, alias, expectedRevision, actor, reason];
    return reference.once({ operation: 'rollback', id: step.requestId, content }, () => {
      const { undo, versions } = reference.model(model);
      const current = reference.current(model, alias) ?? refuse('not-found', 'ALIAS_NOT_FOUND');
      checkRevision(current, expectedRevision);
      const stack = undo.get(alias) ?? [];
      const at = stack.slice(0, -1).findLastIndex((version) => version !== current.version && versions.has(version));
      const target = stack[at] ?? refuse('failed-precondition', 'NO_PREVIOUS_VERSION');
      undo.set(alias, stack.slice(0, at + 1));
      const event = reference.move({ model, alias, action: 'rollback', version: target, actor, reason });
      return expectedMove(event, current.version);
    });
  },
};

interface AliasHistory {
  readonly model: string;
  /** Empty: of all. */
  readonly alias: string;
  readonly pageSize: number;
}

export const history: Verb<AliasHistory> = {
  name: 'history',
  steps: fc.record({ model: names.model, alias: fc.oneof(names.alias, fc.constant('')), pageSize: names.pageSize }),
  perform: (registry, query) =>
    allPages((pageToken) => registry.listAliasEvents({ ...query, pageToken }, never), eventAnswer, query.pageSize),
  expect: (reference, { model, alias }) => {
    reference.model(model);
    return reference.feed
      .filter((event) => event.model === model && (alias === '' || event.alias === alias))
      .map(expectedEvent)
      .toReversed();
  },
};

interface AliasTime {
  readonly model: string;
  readonly alias: string;
  /** Of all moves that there were; just before it, at it, or just after it. */
  readonly move: number;
  readonly shiftMs: number;
  readonly pageSize: number;
}

export const historyAt: Verb<AliasTime> = {
  name: 'history at',
  steps: fc.record({
    model: names.model,
    alias: names.alias,
    move: fc.integer({ min: 0, max: 12 }),
    shiftMs: fc.integer({ min: -1, max: 1 }),
    pageSize: names.pageSize,
  }),
  perform: (registry, step, _real, reference) => {
    const { model, alias, pageSize } = step;
    const atMs = timeOf(reference, step);
    return allPages(
      (pageToken) => registry.listAliasEvents({ model, alias, pageSize, pageToken, atMs }, never),
      eventAnswer,
      pageSize,
    );
  },
  expect: (reference, step) => {
    reference.model(step.model);
    const atMs = timeOf(reference, step);
    return reference.feed
      .filter(({ model, alias, timeMs }) => model === step.model && alias === step.alias && timeMs <= atMs)
      .map(expectedEvent)
      .toReversed();
  },
};

function timeOf(reference: ReferenceRegistry, { move: index, shiftMs }: AliasTime): number {
  return (reference.feed[index]?.timeMs ?? reference.nowMs) + shiftMs;
}

function revisionOf(reference: ReferenceRegistry, step: Move): number | undefined {
  const revision = reference.current(step.model, step.alias)?.revision ?? 0;
  return { right: revision, wrong: revision + 1, any: undefined }[step.expected];
}

function commandOf(reference: ReferenceRegistry, step: Move) {
  const { model, alias, actor, reason, requestId } = step;
  return { model, alias, actor, reason, requestId, expectedRevision: revisionOf(reference, step) };
}

function checkRevision(current: ReferenceEvent | undefined, revision: number | null): void {
  const found = current?.revision ?? 0;
  if (revision !== null && revision !== found) {
    const metadata = { current_revision: String(found), current_version: String(current?.version ?? 0) };
    refuse('aborted', 'REVISION_CONFLICT', metadata);
  }
}

function moveAnswer({ alias, previousVersion }: AliasMove) {
  return { ...aliasAnswer(alias), previousVersion };
}

function expectedMove(event: ReferenceEvent, previousVersion: number) {
  return { ...expectedAlias(event), previousVersion };
}
