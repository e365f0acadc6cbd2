import * as fc from 'fast-check';
import type { AliasState } from '../../../registry/model/alias.ts';
import type { AliasMove } from '../../../registry/release/promote.ts';
import { never } from '../registry/publish.ts';
import { type ReferenceEvent, type ReferenceRegistry, refuse } from './reference-registry.ts';
import { names, type Verb } from './verb.ts';

interface Move {
  readonly model: string;
  readonly alias: string;
  /** Compared with where the alias stands, with that place plus one, or not at all. */
  readonly expected: 'right' | 'wrong' | 'any';
  readonly requestId: string;
}

const expected = fc.constantFrom('right' as const, 'wrong' as const, 'any' as const, 'any' as const);
const move = { model: names.model, alias: names.alias, expected, requestId: names.requestId };

export const promoteVersion: Verb<Move & { readonly version: number }> = {
  name: 'promote',
  steps: fc.record({ ...move, version: names.version }),
  perform: async (registry, step, _real, reference) => {
    const command = { ...commandOf(reference, step), version: step.version, requireReady: 0 };
    const moved = await registry.promoteVersion(command, never);
    return { ...answerOf(moved), deprecation: moved.deprecation?.reason };
  },
  expect: (reference, step) => {
    const { model, alias, version } = step;
    const expectedRevision = revisionOf(reference, step);
    const request = { operation: 'promote', id: step.requestId, content: [model, alias, version, expectedRevision ?? null] };
    const promoted = () => {
      if (reference.models.get(model)?.deleted.has(version) === true) {
        refuse('failed-precondition', 'VERSION_DELETED');
      }
      const { deprecation } = reference.version(model, version);
      const current = reference.current(model, alias);
      checkRevision(current, expectedRevision);
      if (current?.version === version) {
        return { ...answerOfEvent(current, version), deprecation: deprecation?.reason };
      }
      const { undo } = reference.model(model);
      undo.set(alias, [...(undo.get(alias) ?? []), version]);
      const event = reference.move({ model, alias, action: 'promote', version });
      return { ...answerOfEvent(event, event.fromVersion), deprecation: deprecation?.reason };
    };
    return reference.once(request, promoted, (first) => ({ ...first, deprecation: undefined }));
  },
};

export const rollbackAlias: Verb<Move> = {
  name: 'rollback',
  steps: fc.record(move),
  perform: async (registry, step, _real, reference) => answerOf(await registry.rollbackAlias(commandOf(reference, step), never)),
  expect: (reference, step) => {
    const { model, alias } = step;
    const expectedRevision = revisionOf(reference, step);
    const request = { operation: 'rollback', id: step.requestId, content: [model, alias, expectedRevision ?? null] };
    return reference.once(request, () => {
      const { undo, versions } = reference.model(model);
      const current = reference.current(model, alias) ?? refuse('not-found', 'ALIAS_NOT_FOUND');
      checkRevision(current, expectedRevision);
      const stack = undo.get(alias) ?? [];
      const at = stack.slice(0, -1).findLastIndex((version) => version !== current.version && versions.has(version));
      const target = stack[at] ?? refuse('failed-precondition', 'NO_PREVIOUS_VERSION');
      undo.set(alias, stack.slice(0, at + 1));
      return answerOfEvent(reference.move({ model, alias, action: 'rollback', version: target }), current.version);
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
  perform: async (registry, { model, alias, pageSize }) => {
    const events: unknown[] = [];
    let pageToken = '';
    do {
      const page = await registry.listAliasEvents({ model, alias, pageSize, pageToken }, never);
      events.push(...page.items.map(({ state, action, fromVersion }) => ({ ...standOf(state), action, fromVersion })));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return events;
  },
  expect: (reference, { model, alias }) => {
    reference.model(model);
    return reference.feed
      .filter((event) => event.model === model && (alias === '' || event.alias === alias))
      .map(({ action, fromVersion, ...event }) => ({ ...standOfEvent(event), action, fromVersion }))
      .toReversed();
  },
};

interface AliasTime {
  readonly model: string;
  readonly alias: string;
  /** Of all moves that there were; just before it, at it, or just after it. */
  readonly move: number;
  readonly shiftMs: number;
}

export const historyAt: Verb<AliasTime> = {
  name: 'history at',
  steps: fc.record({
    model: names.model,
    alias: names.alias,
    move: fc.integer({ min: 0, max: 12 }),
    shiftMs: fc.integer({ min: -1, max: 1 }),
  }),
  perform: async (registry, step, _real, reference) => {
    const { model, alias } = step;
    const query = { model, alias, pageSize: 1, pageToken: '', atMs: timeOf(reference, step) };
    const [event] = (await registry.listAliasEvents(query, never)).items;
    return event && standOf(event.state);
  },
  expect: (reference, step) => {
    reference.model(step.model);
    const atMs = timeOf(reference, step);
    const event = reference.feed.findLast(
      ({ model, alias, timeMs }) => model === step.model && alias === step.alias && timeMs <= atMs,
    );
    return event && standOfEvent(event);
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
  const { model, alias, requestId } = step;
  return { model, alias, requestId, expectedRevision: revisionOf(reference, step), actor: 'ada', reason: 'why not' };
}

function checkRevision(current: ReferenceEvent | undefined, revision: number | undefined): void {
  if (revision !== undefined && revision !== (current?.revision ?? 0)) {
    refuse('aborted', 'REVISION_CONFLICT');
  }
}

function answerOf({ alias, previousVersion }: AliasMove) {
  return { ...standOf(alias), previousVersion };
}

function answerOfEvent(event: ReferenceEvent, previousVersion: number) {
  return { ...standOfEvent(event), previousVersion };
}

/** Where an alias stands, as both sides say it. */
export function standOf({ model, alias, version, revision, updateTimeMs }: AliasState) {
  return { model: String(model), alias: String(alias), version, revision, timeMs: updateTimeMs };
}

export function standOfEvent({ model, alias, version, revision, timeMs }: Omit<ReferenceEvent, 'action' | 'fromVersion'>) {
  return { model, alias, version, revision, timeMs };
}
