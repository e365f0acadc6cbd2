import { ServiceError } from '../proto/wire/errors.ts';

/** A message field that the contract promises. */
export function required<T>(value: T | undefined, method: string, field: string): T {
  if (value === undefined) {
    throw new ServiceError('internal', 'INTERNAL', `${method} answered without ${field}`);
  }
  return value;
}
