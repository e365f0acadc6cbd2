import { ServiceError } from '../../proto/wire/errors.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { RegistryDeps } from './dependencies.ts';
import { findEarlier, recordOf } from './idempotency.ts';
import { missingVersion } from './not-found.ts';
import { checkMove, claim } from './promote.ts';

export interface DeleteVersionCommand {
  readonly model: string;
  readonly version: number;
  readonly reason: string;
  /** The caller's own claim. */
  readonly actor: string;
  readonly requestId: string;
}

/**
 * Deletes a version that no alias points at. What it refers to stays stored until garbage is collected.
 * @throws ServiceError not-found MODEL_NOT_FOUND or VERSION_NOT_FOUND; failed-precondition VERSION_IN_USE with metadata aliases;
 *   invalid-argument INVALID_REQUEST or REQUEST_ID_REUSED.
 */
export async function deleteVersion(
  { catalog, clock }: RegistryDeps,
  command: DeleteVersionCommand,
  signal: AbortSignal,
): Promise<void> {
  const check = new RequestCheck();
  const model = check.modelName(command.model, 'model');
  const version = check.version(command.version, 'version');
  checkMove(check, command);
  if (model === undefined || version === undefined || check.isBad) {
    throw check.error();
  }
  const { reason, actor, requestId } = command;
  const request = { operation: 'delete', requestId, content: [model, version, actor, reason] } as const;
  if ((await findEarlier(catalog, request, signal)) !== undefined) {
    return;
  }
  const deletion = { model, version, actor: claim(actor), reason, timeMs: clock.nowMs() };
  const result = await catalog.deleteVersion(deletion, recordOf(request, String(version), true), signal);
  switch (result.kind) {
    case 'deleted':
      return;
    case 'absent':
      throw await missingVersion(catalog, model, version, signal);
    case 'in-use': {
      const aliases = result.aliases.join(', ');
      throw new ServiceError('failed-precondition', 'VERSION_IN_USE', `${model}:${version} is where ${aliases} points`, {
        metadata: { aliases },
      });
    }
    case 'request-exists':
      // The same request arrived twice at once, or it was another one with this id: that is told here.
      await findEarlier(catalog, request, signal);
  }
}
