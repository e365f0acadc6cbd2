import { abortError, isServiceError } from '../../proto/wire/errors.ts';
import type { ImageOutcome, StreamImage } from '../inference-client.ts';
import type { Answer } from '../prediction.ts';
import type { EarlierResults } from './earlier-results.ts';
import type { FilteredAnswer } from './flake-filter.ts';
import { ImageFile } from './image-file.ts';
import type { Input } from './images.ts';
import { inOrder } from './in-order.ts';
import type { OrderedResults } from './ordered-results.ts';
import { WorkLimit } from './work-limit.ts';

/** Files read before their turn, so that a slow disk does not hold up the server; what else is in memory is on its way to it. */
const READ_AHEAD = 3;
/** Pictures drawn and results saved at once, while others are predicted on. */
const MAX_FINISHING = 2;

export interface BringDeps {
  /** One outcome an image, in any order. */
  readonly predict: (images: AsyncIterable<StreamImage>, signal: AbortSignal) => AsyncIterable<ImageOutcome>;
  /** Undefined: nothing is kept from run to run. */
  readonly earlier: EarlierResults | undefined;
  readonly filter: (answer: Answer) => FilteredAnswer;
  /** Draws and saves the picture. Undefined: not asked for. */
  readonly draw: ((path: string, answer: Answer) => Promise<void>) | undefined;
}

/** What came of one input. An answer can come with an error, where only its picture failed. */
export interface Result {
  readonly index: number;
  readonly path: string;
  readonly isFromBefore: boolean;
  readonly answer?: FilteredAnswer;
  readonly error?: unknown;
}

export interface BringBounds {
  readonly signal: AbortSignal;
  /** Ends the run. */
  readonly fail: (error: unknown) => void;
}

/**
 * Brings every input's result, those of an earlier run too, in any order.
 * @throws what ends the run: an error that is about every image alike, or the signal's reason.
 */
export async function bringResults(
  inputs: readonly Input[],
  results: OrderedResults<Result>,
  deps: BringDeps,
  { signal, fail }: BringBounds,
): Promise<void> {
  const { predict, earlier } = deps;
  const finishing = new WorkLimit(MAX_FINISHING, fail);
  const sent = new Map<string, { readonly index: number; readonly file: ImageFile }>();
  const images = (async function* (): AsyncGenerator<StreamImage> {
    for await (const prepared of inOrder(inputs.entries(), READ_AHEAD, (entry) => prepare(entry, earlier))) {
      const { index, file, answer, error } = prepared;
      await results.room(index);
      if (signal.aborted) {
        return;
      }
      if (error !== undefined) {
        results.put(index, { index, path: file.path, isFromBefore: false, error });
      } else if (answer !== undefined) {
        await finishing.start(async () => results.put(index, await finish(index, file, answer, deps, true)));
      } else {
        const id = String(index);
        sent.set(id, { index, file });
        yield { id, image: file };
      }
    }
  })();
  try {
    for await (const outcome of predict(images, signal)) {
      const { index, file } = sent.get(outcome.imageId) ?? unknownImage(outcome.imageId);
      sent.delete(outcome.imageId);
      if ('prediction' in outcome) {
        const { prediction } = outcome;
        await finishing.start(async () => {
          if (file.ref !== undefined) {
            await earlier?.save(file.path, file.ref, prediction);
          }
          results.put(index, await finish(index, file, prediction, deps, false));
        });
      } else if (isAboutEveryImage(outcome.error)) {
        throw outcome.error;
      } else {
        results.put(index, { index, path: file.path, isFromBefore: false, error: outcome.error });
      }
    }
  } finally {
    await finishing.idle();
  }
  if (signal.aborted) {
    throw abortError(signal);
  }
}

interface Prepared {
  readonly index: number;
  readonly file: ImageFile;
  readonly answer?: Answer | undefined;
  readonly error?: unknown;
}

/** Reads the file and looks for an earlier answer. @throws what would fail every further image alike. */
async function prepare([index, input]: [number, Input], earlier: EarlierResults | undefined): Promise<Prepared> {
  const file = new ImageFile(input.path);
  if (input.problem !== undefined) {
    return { index, file, error: input.problem };
  }
  let bytes: Uint8Array;
  try {
    bytes = await file.readAhead();
  } catch (error) {
    return { index, file, error };
  }
  try {
    return { index, file, answer: file.ref && (await earlier?.find(file.path, file.ref, bytes)) };
  } catch (error) {
    // One kept result that cannot be read is that image's trouble.
    if (isServiceError(error) && error.reason === 'UNREADABLE_FILE') {
      return { index, file, error };
    }
    throw error;
  }
}

/** Filters and draws. A picture that fails does not take the flakes with it. */
async function finish(
  index: number,
  { path }: ImageFile,
  found: Answer,
  deps: BringDeps,
  isFromBefore: boolean,
): Promise<Result> {
  const answer = deps.filter(found);
  try {
    await deps.draw?.(path, answer);
    return { index, path, isFromBefore, answer };
  } catch (error) {
    return { index, path, isFromBefore, answer, error };
  }
}

/** Everything that may pass was tried again already, so what is left of that kind is about the image. */
function isAboutEveryImage(error: unknown): boolean {
  if (!isServiceError(error)) {
    return false;
  }
  // A request that is wrong in nothing but its image, such as an empty file, says nothing about the next one.
  if (error.violations.length > 0 && error.violations.every(({ field }) => field === 'image')) {
    return false;
  }
  const reasons = ['INVALID_REQUEST', 'KIND_MISMATCH', 'LOAD_FAILED', 'UNSUPPORTED_MODEL'];
  return error.kind === 'not-found' || error.kind === 'cancelled' || reasons.includes(error.reason);
}

function unknownImage(id: string): never {
  throw new Error(`an answer to "${id}", which was never sent`);
}
