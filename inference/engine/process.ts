// The main of an engine process: forked by the supervisor, it answers messages until the channel closes.
import process from 'node:process';
import { collectGarbage, tuneForLargeBuffers } from '../../infra/process/garbage-collection.ts';
import type { Decoder } from '../predict/decoder.ts';
import { Engine } from './engine.ts';
import { ImagePipe } from './image-pipe.ts';
import { guardProcess } from './process-guard.ts';
import { type FromEngine, type ToEngine, toWireError } from './protocol.ts';
import { SharpDecoder } from './sharp-decoder.ts';

tuneForLargeBuffers();
// The supervisor passes its own id: it may be gone before this process could ask for its parent.
guardProcess(Number(process.argv[2]));

let engine: Engine | undefined;
let maxPixels = 0;
// No image after this one could be trusted to be the right one; the supervisor starts another engine.
const pipe = new ImagePipe(() => process.exit(1));
const running = new Map<number, AbortController>();

process.on('message', (message: ToEngine) => {
  switch (message.kind) {
    case 'load':
      maxPixels = message.limits.maxPixels;
      engine ??= new Engine({ decoder: new SharpDecoder(message.limits), collectGarbage }, message.limits);
      // A throw here is a defect; the process ends and the supervisor sees it.
      void engine.load(message.servables).then((failures) => send({ kind: 'ready', failures }));
      break;
    case 'predict':
      void work(message);
      break;
    case 'cancel':
      running.get(message.id)?.abort();
      break;
  }
});

// The supervisor went away, however it did: nothing is left running.
process.on('disconnect', () => process.exit(0));
// A terminal's Ctrl-C, and a service manager's stop, reach every process of the group; the supervisor decides when its engines end.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

async function work({ id, image, models, borrowed, settings, bound }: Extract<ToEngine, { kind: 'predict' }>): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    // First of all and whatever comes: bytes left in the pipe would be the next request's image.
    const bytes = typeof image === 'number' ? await pipe.receive(image) : image;
    if (engine === undefined) {
      throw new Error('predict before load');
    }
    const prediction = await engine.predict(
      bytes,
      { models, borrowed, ...(bound !== undefined && { decoder: telling(id, new SharpDecoder({ maxPixels, bound })) }) },
      settings,
      (stage) => send({ kind: 'stage', id, stage }),
      controller.signal,
    );
    const { width, height, background, distinctColours, flakes, timings } = prediction;
    const answer = { width, height, background, distinctColours, flakes, timings };
    send({ kind: 'done', id, answer });
  } catch (error) {
    send({ kind: 'failed', id, error: toWireError(error) });
  } finally {
    running.delete(id);
  }
}

function telling(id: number, decoder: Decoder): Decoder {
  return {
    decode: async (bytes, signal) => {
      const image = await decoder.decode(bytes, signal);
      send({ kind: 'decoded', id, width: image.width, height: image.height });
      return image;
    },
  };
}

function send(message: FromEngine): void {
  process.send?.(message);
}
