import { ServiceError } from '../../proto/wire/errors.ts';
import { type Labels, sortedLabels } from '../model/labels.ts';
import { MAX_DESCRIPTION_LENGTH, type Model, type ModelKind } from '../model/model.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { RegistryDeps } from './dependencies.ts';
import { findEarlier, MAX_REQUEST_ID_LENGTH, recordOf } from './idempotency.ts';
import { requireModel } from './not-found.ts';

export interface CreateModelCommand {
  readonly name: string;
  readonly kind: ModelKind | undefined;
  readonly description: string;
  readonly labels: Labels;
  readonly requestId: string;
}

/** @throws ServiceError invalid-argument INVALID_REQUEST or REQUEST_ID_REUSED; already-exists MODEL_EXISTS. */
export async function createModel(
  { catalog, clock }: RegistryDeps,
  command: CreateModelCommand,
  signal: AbortSignal,
): Promise<Model> {
  const check = new RequestCheck();
  const name = check.modelName(command.name, 'name');
  const kind = command.kind ?? check.violation('kind', 'expected the kind of the model');
  const description = check.text(command.description, 'description', MAX_DESCRIPTION_LENGTH);
  const labels = check.labels(command.labels, 'labels');
  const requestId = check.text(command.requestId, 'request_id', MAX_REQUEST_ID_LENGTH);
  if (name === undefined || kind === undefined || check.isBad) {
    throw check.error();
  }
  const request = { operation: 'create', requestId, content: [name, kind, description, sortedLabels(labels)] } as const;
  if ((await findEarlier(catalog, request, signal)) === undefined) {
    const record = { name, kind, description, labels, createTimeMs: clock.nowMs() };
    if (await catalog.createModel(record, recordOf(request, name, true), signal)) {
      return { ...record, latestVersion: 0, aliases: [] };
    }
    // The same request may have arrived twice at once, and the other one was first.
    if ((await findEarlier(catalog, request, signal)) === undefined) {
      throw new ServiceError('already-exists', 'MODEL_EXISTS', `model "${name}" exists`);
    }
  }
  // What the first call was answered, whatever the model has become since: the rest of it never changes.
  return { ...(await requireModel(catalog, name, signal)), latestVersion: 0, aliases: [] };
}
