import { ServiceError } from '../../proto/wire/errors.ts';
import { ImageIntake } from './image-intake.ts';
import { ImageSlots } from './image-slots.ts';
import { Outbox } from './outbox.ts';
import type { ImageStreamDeps, ImageStreamSettings, StreamCommand, StreamEvent } from './stream-contract.ts';

export interface StreamSignals {
  /** Aborts everything. */
  readonly signal: AbortSignal;
  /**
   * Images in hand finish; one that is still being sent fails, later ones are refused, and the stream ends as UNAVAILABLE when
   * nothing is in hand.
   */
  readonly shutdown: AbortSignal;
}

/**
 * Many images over one stream: several at once, events as they come, each image failing alone. An image keeps its slot until its
 * last event was taken. So a caller that does not take results stops new work, and with all slots taken commands are read only
 * up to the next image but one: neither side can make the other hold more than `maxImagesAtOnce + 1` images and their results, and
 * all streams together begin none while they hold what the server has room for.
 * @throws ServiceError invalid-argument INVALID_REQUEST for commands out of order; unavailable SHUTTING_DOWN; the signal's reason.
 */
export async function* imageStream<O, E>(
  commands: AsyncIterable<StreamCommand<O>>,
  deps: ImageStreamDeps<O, E>,
  settings: ImageStreamSettings,
  { signal, shutdown }: StreamSignals,
): AsyncGenerator<StreamEvent<E>> {
  const outbox = new Outbox<StreamEvent<E>>();
  const leaving = new AbortController();
  const both = AbortSignal.any([signal, leaving.signal]);
  const share = deps.room.share();
  const slots = new ImageSlots(outbox, deps, settings, share, both);
  const work = new ImageIntake(slots, settings, both, shutdown).run(commands).then(
    () => outbox.end(),
    (error: unknown) => {
      leaving.abort(error);
      outbox.fail(error);
    },
  );
  try {
    yield* outbox;
  } finally {
    leaving.abort(new ServiceError('cancelled', 'CANCELLED', 'the stream is over'));
    await work;
    await slots.finished();
    share.close();
  }
}
