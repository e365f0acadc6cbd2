import { abortError, isServiceError, ServiceError } from '../../proto/wire/errors.ts';
import { collectOutcomes, type ImageEvent, type ImageOutcome, type StreamImage } from '../predict-stream.ts';
import { attemptsFor, isRetryable, type RetryDeps, type RetrySettings, retryDelay } from '../retry.ts';
import { endOnSilence } from './silence.ts';
import { Patience, type PatienceListener } from './patience.ts';
import { type PendingImage, PendingImages } from './pending-images.ts';

/** Many more than any server takes at once: it is what may have to be sent again. */
const MAX_SENT = 128;

/** Tries of an image that the server fails with an error that may pass, such as a crash of its engine. */
export const MAX_IMAGE_TRIES = 3;

/** Calls that may break with one image in hand. More than tries of its own: most of them are in hand by chance. */
export const MAX_BROKEN_CALLS = 5;

export interface BatchSettings extends PatienceListener {
  /** How long the server may be away or not ready, without one finished image in between. */
  readonly retryForMs: number;
  /** How long a call may be without any sign while images wait for an answer. */
  readonly silenceMs: number;
  readonly retry: RetrySettings;
  readonly signal: AbortSignal | undefined;
}

/** Opens one PredictStream call. */
export type OpenStream = (images: AsyncIterable<StreamImage>, signal: AbortSignal) => AsyncIterable<ImageEvent>;

/**
 * Many images, over as many PredictStream calls as it takes: one outcome an image, in order of completion. A call that breaks is
 * followed by another one, with the images that have no last event yet; predicting changes nothing, so none is harmed by that.
 * @throws what ends the batch: the error of a server that was away for too long, of a call that would fail again, of `images`.
 */
export async function* predictBatch(
  open: OpenStream,
  images: AsyncIterable<StreamImage> | Iterable<StreamImage>,
  settings: BatchSettings,
  deps: RetryDeps,
): AsyncGenerator<ImageOutcome> {
  const { signal } = settings;
  const pending = new PendingImages(images, MAX_SENT, deps);
  const patience = new Patience(settings, deps, settings);
  try {
    while (await pending.hasMore()) {
      const over = new AbortController();
      try {
        for await (const outcome of collectOutcomes(eventsOf(open, pending, settings, over.signal))) {
          const settled = settle(outcome, pending, patience, settings, deps);
          if (settled !== undefined) {
            yield settled;
          }
        }
        over.abort();
        if (await pending.hasMore()) {
          throw new ServiceError('unavailable', 'UNAVAILABLE', 'the server ended the call before its images');
        }
      } catch (error) {
        over.abort();
        const broken = asBroken(error, pending, signal);
        for (const { image, breakCount } of pending.putBackSent(MAX_BROKEN_CALLS)) {
          yield { imageId: image.id, error: givenUp(broken, `${breakCount} calls broke while the server worked on it`) };
        }
        await deps.sleep(patience.delayAfter(broken), signal);
      } finally {
        over.abort();
      }
    }
  } finally {
    pending.close();
  }
}

async function* eventsOf(
  open: OpenStream,
  pending: PendingImages,
  { silenceMs, signal }: BatchSettings,
  over: AbortSignal,
): AsyncGenerator<ImageEvent> {
  const silence = new AbortController();
  const both = signal === undefined ? silence.signal : AbortSignal.any([signal, silence.signal]);
  const events = open(pending.take(over), both);
  for await (const event of endOnSilence(events, silence, silenceMs, () => pending.sentCount > 0)) {
    if (event.event.$case === 'accepted') {
      pending.noteAccepted(event.imageId);
    }
    yield event;
  }
}

/**
 * The outcome, or undefined where the image was put back because its failure may pass.
 * @throws its error when the server has been away for too long.
 */
function settle(
  outcome: ImageOutcome,
  pending: PendingImages,
  patience: Patience,
  { retry }: BatchSettings,
  deps: RetryDeps,
): ImageOutcome | undefined {
  const sent = pending.finish(outcome.imageId);
  const error = 'error' in outcome ? outcome.error : undefined;
  if (sent !== undefined && isRetryable(error) && isAboutServer(error)) {
    // Those sent before the pause began tell of the same trouble.
    if (!pending.isPaused) {
      pending.pauseUntil(deps.now() + patience.delayAfter(error));
    }
    pending.putBack(sent.pending);
    return undefined;
  }
  if (sent?.isAccepted === true) {
    patience.noteProgress();
  }
  if (sent === undefined || !isRetryable(error)) {
    return outcome;
  }
  const failed: PendingImage = { ...sent.pending, failureCount: sent.pending.failureCount + 1 };
  if (failed.failureCount >= attemptsFor(error, MAX_IMAGE_TRIES)) {
    return { imageId: outcome.imageId, error: givenUp(error, `tried ${failed.failureCount} times`) };
  }
  pending.putBack(failed, deps.now() + retryDelay(failed.failureCount, error, retry, deps));
  return undefined;
}

/** The server, not the image, is to blame: any image would fail alike just now. */
function isAboutServer({ reason }: ServiceError): boolean {
  return ['UNAVAILABLE', 'SHUTTING_DOWN', 'MODEL_NOT_READY', 'REGISTRY_UNAVAILABLE'].includes(reason);
}

/**
 * The error of a call that another one may follow. A connection that breaks is UNAVAILABLE, CANCELLED or INTERNAL, by what
 * breaks it; a cancel that is not ours is no interrupt. @throws what ends the batch: any other error.
 */
function asBroken(error: unknown, { failure }: PendingImages, signal: AbortSignal | undefined): ServiceError {
  if (failure !== undefined) {
    throw failure.error;
  }
  if (signal?.aborted === true) {
    throw abortError(signal);
  }
  if (isServiceError(error, 'cancelled')) {
    return new ServiceError('unavailable', 'UNAVAILABLE', `the call was cancelled: ${error.message}`, { cause: error });
  }
  // A code that is no kind of ours, such as UNIMPLEMENTED, is "internal" with a reason of its own: it would come again.
  if (isRetryable(error) || (isServiceError(error, 'internal') && error.reason === 'INTERNAL')) {
    return error;
  }
  throw error;
}

function givenUp(error: ServiceError, why: string): ServiceError {
  const { kind, reason, message, metadata } = error;
  return new ServiceError(kind, reason, `${message} (given up: ${why})`, { metadata, cause: error });
}
