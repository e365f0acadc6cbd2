import { isServiceError } from '../../../proto/wire/errors.ts';
import { Refusal } from './reference-records.ts';

export type Outcome =
  | { readonly answer: unknown }
  | { readonly refused: string; readonly metadata: Readonly<Record<string, string>> };

/** What a call came to, on either side. What is no refusal is thrown on. */
export async function outcomeOf(action: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { answer: await action() };
  } catch (error) {
    if (isServiceError(error) || error instanceof Refusal) {
      return { refused: `${error.kind} ${error.reason}`, metadata: error.metadata };
    }
    throw error;
  }
}
