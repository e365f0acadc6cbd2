import type { ModelName } from '../../proto/wire/names.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { Version } from '../model/version.ts';
import type { RegistryDeps } from './dependencies.ts';
import { missingVersion } from './not-found.ts';
import { MAX_REASON_LENGTH } from './promote.ts';

export interface DeprecateVersionCommand {
  readonly model: string;
  readonly version: number;
  readonly reason: string;
}

/**
 * Advises against a version, which stops nothing: what runs on it goes on, and it is promoted like any other.
 * @throws ServiceError not-found MODEL_NOT_FOUND or VERSION_NOT_FOUND; invalid-argument INVALID_REQUEST.
 */
export async function deprecateVersion(
  deps: RegistryDeps,
  command: DeprecateVersionCommand,
  signal: AbortSignal,
): Promise<Version> {
  const check = new RequestCheck();
  const reason = check.text(command.reason, 'reason', MAX_REASON_LENGTH);
  const { model, version } = checkTarget(check, command);
  return mark(deps, { model, version }, { reason, timeMs: deps.clock.nowMs() }, signal);
}

/** Takes the advice back. @throws ServiceError as `deprecateVersion`. */
export async function undeprecateVersion(
  deps: RegistryDeps,
  command: Omit<DeprecateVersionCommand, 'reason'>,
  signal: AbortSignal,
): Promise<Version> {
  return mark(deps, checkTarget(new RequestCheck(), command), undefined, signal);
}

function checkTarget(
  check: RequestCheck,
  command: Omit<DeprecateVersionCommand, 'reason'>,
): { readonly model: ModelName; readonly version: number } {
  const model = check.modelName(command.model, 'model');
  const version = check.version(command.version, 'version');
  if (model === undefined || version === undefined || check.isBad) {
    throw check.error();
  }
  return { model, version };
}

async function mark(
  { catalog }: RegistryDeps,
  target: { readonly model: ModelName; readonly version: number },
  deprecation: Version['deprecation'],
  signal: AbortSignal,
): Promise<Version> {
  const marked = await catalog.setDeprecation(target, deprecation, signal);
  if (marked === undefined) {
    throw await missingVersion(catalog, target.model, target.version, signal);
  }
  return marked;
}
