import { ServiceError } from '../../proto/wire/errors.ts';
import { type AliasState, checkRevision, rollback } from '../model/alias.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { FollowingDeps, RegistryDeps } from './dependencies.ts';
import { findEarlier, recordOf } from './idempotency.ts';
import { aliasNotFound, requireModel } from './not-found.ts';
import {
  type AliasMove,
  checkMove,
  claim,
  moveAgain,
  type PromoteVersionCommand,
  tellWatchers,
  throwIfHopeless,
} from './promote.ts';

export type RollbackAliasCommand = Omit<PromoteVersionCommand, 'version' | 'requireReady'>;

/**
 * Moves an alias back to where it pointed before its current version was put there; again moves one further back. Versions that
 * were deleted since are passed over.
 * @throws ServiceError not-found MODEL_NOT_FOUND or ALIAS_NOT_FOUND; failed-precondition NO_PREVIOUS_VERSION;
 *   aborted REVISION_CONFLICT; invalid-argument INVALID_REQUEST or REQUEST_ID_REUSED.
 */
export async function rollbackAlias(deps: FollowingDeps, command: RollbackAliasCommand, signal: AbortSignal): Promise<AliasMove> {
  const check = new RequestCheck();
  const model = check.modelName(command.model, 'model');
  const alias = check.aliasName(command.alias, 'alias');
  checkMove(check, command);
  if (model === undefined || alias === undefined || check.isBad) {
    throw check.error();
  }
  const { catalog, clock } = deps;
  const { expectedRevision, actor, reason, requestId } = command;
  const request = { operation: 'rollback', requestId, content: [model, alias, expectedRevision ?? null, actor, reason] } as const;
  for (let attempt = 1; ; attempt++) {
    const earlier = await findEarlier(catalog, request, signal);
    if (earlier !== undefined) {
      return moveAgain(deps, model, alias, earlier, signal);
    }
    const current = await catalog.getAlias(model, alias, signal);
    if (current === undefined) {
      throw aliasNotFound(await requireModel(catalog, model, signal), alias);
    }
    checkRevision(current, expectedRevision, `${model}@${alias}`);
    const target = await lastStateBefore(deps, current, signal);
    if (target === undefined) {
      throw new ServiceError(
        'failed-precondition',
        'NO_PREVIOUS_VERSION',
        `${model}@${alias} points at version ${current.version} and there is none to go back to`,
      );
    }
    const event = rollback(current, target, { actor: claim(actor), reason, timeMs: clock.nowMs() });
    const result = await catalog.moveAlias(event, recordOf(request, String(event.state.revision), true), signal);
    if (result.kind === 'moved') {
      tellWatchers(deps, { sequence: result.sequence, event });
      return { alias: event.state, previousVersion: current.version };
    }
    throwIfHopeless(attempt, current, `${model}@${alias}`);
  }
}

/** Where the alias pointed before, at another version that is still there; undefined when there is no such state. */
async function lastStateBefore(
  { catalog }: RegistryDeps,
  current: AliasState,
  signal: AbortSignal,
): Promise<AliasState | undefined> {
  const { model, alias } = current;
  for (let revision = current.backRevision; revision !== 0; ) {
    const event = await catalog.getAliasEvent(model, alias, revision, signal);
    if (event === undefined) {
      throw new Error(`revision ${revision} of ${model}@${alias} is not in its history`);
    }
    const { state } = event;
    // With what lay between gone, the one before may be the current one again: going there would change nothing.
    if (state.version !== current.version && (await catalog.getVersion(model, state.version, signal)) !== undefined) {
      return state;
    }
    revision = state.backRevision;
  }
  return undefined;
}
