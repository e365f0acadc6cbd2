import { ServiceError } from '../../proto/wire/errors.ts';
import type { AliasName, ModelName } from '../../proto/wire/names.ts';
import { type AliasState, checkRevision, promotion } from '../model/alias.ts';
import { type Deprecation, describeDeletion } from '../model/deletion.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { Catalog, FeedEntry, RequestIdentity } from './catalog.ts';
import type { FollowingDeps, RegistryDeps } from './dependencies.ts';
import { findEarlier, MAX_REQUEST_ID_LENGTH, recordOf } from './idempotency.ts';
import { missingVersion } from './not-found.ts';
import { requireReady } from './readiness.ts';

export const MAX_REASON_LENGTH = 1000;
export const MAX_ACTOR_LENGTH = 200;

/**
 * Each lost race means that another caller won one, so somebody always gets on; a caller that loses this many in a row is told
 * so instead of being kept waiting.
 */
export const MAX_ATTEMPTS = 100;

export interface PromoteVersionCommand {
  readonly model: string;
  readonly version: number;
  readonly alias: string;
  /** Unset: unconditional. 0: the alias must not exist yet. n: it must stand at revision n. */
  readonly expectedRevision: number | undefined;
  readonly reason: string;
  /** The caller's own claim. */
  readonly actor: string;
  readonly requestId: string;
  /** Servers that must hold the version ready; 0: none. */
  readonly requireReady: number;
}

export interface AliasMove {
  readonly alias: AliasState;
  /** 0 when the alias is new. */
  readonly previousVersion: number;
  /** Set where the alias was promoted to a version that is advised against. */
  readonly deprecation?: Deprecation;
}

/**
 * Points an alias at a version. An alias that points there already stays as it is, without an event: promoting again is no change.
 * @throws ServiceError not-found MODEL_NOT_FOUND or VERSION_NOT_FOUND; aborted REVISION_CONFLICT; failed-precondition
 *   VERSION_DELETED or NOT_ENOUGH_READY; invalid-argument INVALID_REQUEST, RESERVED_ALIAS or REQUEST_ID_REUSED.
 */
export async function promoteVersion(
  deps: FollowingDeps,
  command: PromoteVersionCommand,
  signal: AbortSignal,
): Promise<AliasMove> {
  const check = new RequestCheck();
  const model = check.modelName(command.model, 'model');
  const number = check.version(command.version, 'version');
  const alias = check.newAliasName(command.alias, 'alias');
  checkMove(check, command);
  if (model === undefined || number === undefined || alias === undefined || check.isBad) {
    throw check.error();
  }
  const { catalog, clock } = deps;
  const { expectedRevision, actor, reason, requestId } = command;
  const content: unknown[] = [model, number, alias, expectedRevision ?? null, actor, reason];
  if (command.requireReady > 0) {
    content.push(command.requireReady);
  }
  const request = { operation: 'promote', requestId, content } as const;
  for (let attempt = 1; ; attempt++) {
    const earlier = await findEarlier(catalog, request, signal);
    if (earlier !== undefined) {
      return moveAgain(deps, model, alias, earlier, signal);
    }
    const version = await catalog.getVersion(model, number, signal);
    if (version === undefined) {
      await throwIfDeleted(catalog, model, number, signal);
      throw await missingVersion(catalog, model, number, signal);
    }
    const advice = version.deprecation === undefined ? {} : { deprecation: version.deprecation };
    const current = await catalog.getAlias(model, alias, signal);
    checkRevision(current, expectedRevision, `${model}@${alias}`);
    if (current !== undefined && current.version === number) {
      const record = recordOf(request, String(current.revision), false);
      if (record === undefined || (await catalog.addRequest(record, signal))) {
        return { alias: current, previousVersion: number, ...advice };
      }
      continue;
    }
    const target = { model, alias, version: number, manifest: version.manifest };
    await requireReady(deps, target, command.requireReady, signal);
    const event = promotion(current, target, { actor: claim(actor), reason, timeMs: clock.nowMs() });
    const result = await catalog.moveAlias(event, recordOf(request, String(event.state.revision), true), signal);
    if (result.kind === 'moved') {
      tellWatchers(deps, { sequence: result.sequence, event });
      return { alias: event.state, previousVersion: event.fromVersion, ...advice };
    }
    throwIfHopeless(attempt, current, `${model}@${alias}`);
  }
}

/** @throws ServiceError failed-precondition VERSION_DELETED. */
export async function throwIfDeleted(catalog: Catalog, model: ModelName, version: number, signal: AbortSignal): Promise<void> {
  const deletion = await catalog.getDeletion(model, version, signal);
  if (deletion !== undefined) {
    throw new ServiceError('failed-precondition', 'VERSION_DELETED', `model "${model}": ${describeDeletion(deletion)}`);
  }
}

/** The fields that every move of an alias has. */
export function checkMove(
  check: RequestCheck,
  { reason, actor, requestId }: Pick<PromoteVersionCommand, 'reason' | 'actor' | 'requestId'>,
): void {
  check.text(reason, 'reason', MAX_REASON_LENGTH);
  check.text(actor, 'actor', MAX_ACTOR_LENGTH);
  check.text(requestId, 'request_id', MAX_REQUEST_ID_LENGTH);
}

/** Those of this process, at once. */
export function tellWatchers({ feedTail, follower }: FollowingDeps, entry: FeedEntry): void {
  feedTail.add(entry);
  follower.notify(entry.sequence);
}

/** Nobody is authenticated yet, so whoever a caller says to be is recorded as a claim. */
export function claim(actor: string): { readonly name: string; readonly isVerified: false } {
  return { name: actor, isVerified: false };
}

/** What the first call with this request id was answered. */
export async function moveAgain(
  { catalog }: RegistryDeps,
  model: ModelName,
  alias: AliasName,
  earlier: RequestIdentity,
  signal: AbortSignal,
): Promise<AliasMove> {
  const event = await catalog.getAliasEvent(model, alias, Number(earlier.subject), signal);
  if (event === undefined) {
    throw new Error(`revision ${earlier.subject} of ${model}@${alias} was answered before and is not there`);
  }
  return { alias: event.state, previousVersion: earlier.isEffective ? event.fromVersion : event.state.version };
}

export function throwIfHopeless(attempt: number, current: AliasState | undefined, alias: string): void {
  if (attempt >= MAX_ATTEMPTS) {
    throw new ServiceError('aborted', 'REVISION_CONFLICT', `${alias} was moved by others ${attempt} times in a row`, {
      metadata: { current_revision: String(current?.revision ?? 0), current_version: String(current?.version ?? 0) },
    });
  }
}
