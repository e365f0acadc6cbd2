import { ServiceError } from '../../proto/wire/errors.ts';
import type { Labels } from '../model/labels.ts';
import { MAX_DESCRIPTION_LENGTH, type Model, type ModelKind } from '../model/model.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { RegistryDeps } from './dependencies.ts';

export interface CreateModelCommand {
  readonly name: string;
  readonly kind: ModelKind | undefined;
  readonly description: string;
  readonly labels: Labels;
}

/** @throws ServiceError invalid-argument INVALID_REQUEST; already-exists MODEL_EXISTS. */
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
  if (name === undefined || kind === undefined || check.isBad) {
    throw check.error();
  }
  const record = { name, kind, description, labels, createTimeMs: clock.nowMs() };
  if (!(await catalog.createModel(record, signal))) {
    throw new ServiceError('already-exists', 'MODEL_EXISTS', `model "${name}" exists`);
  }
  return { ...record, latestVersion: 0, aliases: [] };
}
