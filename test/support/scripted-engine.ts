// The main of a fake engine process, forked in place of the real one. The label of a servable says what it does while it
// loads, the bytes of an image what it does with that image.
import { closeSync } from 'node:fs';
import process from 'node:process';
import { IMAGE_PIPE_FD, ImagePipe } from '../../inference/engine/image-pipe.ts';
import { guardProcess } from '../../inference/engine/process-guard.ts';
import type { EngineAnswer, FromEngine, ToEngine, WireError } from '../../inference/engine/protocol.ts';

type Predict = Extract<ToEngine, { kind: 'predict' }>;

const ANSWER: EngineAnswer = {
  width: 1,
  height: 1,
  background: { b: 1, g: 2, r: 3 },
  distinctColours: process.pid,
  flakes: [],
  timings: [],
};
const STOPPED = { kind: 'cancelled', reason: 'CANCELLED', message: 'stopped' } as const;
/** Of the largest image that may be decoded. */
const SHARES: Readonly<Record<string, number>> = { bound: 1, 'wait with the largest image': 1, 'wait with half of it': 0.5 };
const GROWTH_BYTES = 400_000_000;
const waiting = new Set<number>();
let pipe: ImagePipe | undefined;
guardProcess(Number(process.argv[2]));

process.on('message', (message: ToEngine) => {
  switch (message.kind) {
    case 'load':
      load(message.servables);
      break;
    case 'predict':
      void take(message);
      break;
    case 'cancel':
      if (waiting.delete(message.id)) {
        failed(message.id);
      }
      break;
  }
});
process.on('disconnect', () => process.exit(0));

function load(servables: Extract<ToEngine, { kind: 'load' }>['servables']): void {
  const labels = new Set(servables.map(({ label }) => label));
  if (labels.has('exits')) {
    process.exit(3);
  }
  if (labels.has('hangs')) {
    return;
  }
  if (labels.has('blocks')) {
    block();
    return;
  }
  if (labels.has('grows')) {
    grow();
    return;
  }
  const failures = servables
    .filter(({ label }) => label === 'fails')
    .map(
      ({ id }) =>
        ({
          id,
          error: { kind: 'failed-precondition', reason: 'LOAD_FAILED', message: 'no', metadata: {}, violations: [] },
        }) as const,
    );
  send({ kind: 'ready', failures });
}

/** A large image is its script and then zeros. The name of the classifier says what to do before the image is here. */
async function take({ id, image, models, bound }: Predict): Promise<void> {
  if (models.classification === 'dies in the middle') {
    process.exit(5);
  }
  if (models.classification === 'shuts the pipe') {
    closeSync(IMAGE_PIPE_FD);
    return;
  }
  pipe ??= typeof image === 'number' ? new ImagePipe(() => process.exit(1)) : undefined;
  const bytes = typeof image === 'number' ? await pipe?.receive(image) : image;
  predict(
    id,
    Buffer.from(bytes ?? [])
      .toString()
      .replace(/\0+$/, ''),
    bound,
  );
}

function predict(id: number, script: string, bound: Predict['bound']): void {
  if (bound !== undefined && script !== 'refuse') {
    const share = SHARES[script];
    const { width, height } =
      share === undefined
        ? ANSWER
        : { width: Math.ceil((share * bound.maxPixels) / bound.sideMultiple), height: bound.sideMultiple };
    send({ kind: 'decoded', id, width, height });
  }
  // Last, so that a test that sees the stage knows that the image is known: a real engine names the stage first.
  send({ kind: 'stage', id, stage: 'decode' });
  switch (script) {
    case 'exit':
      process.exit(4);
      break;
    case 'wait':
    case 'wait with the largest image':
    case 'wait with half of it':
      waiting.add(id);
      break;
    case 'ignore cancel':
      break;
    case 'block':
      block();
      break;
    case 'grow':
      grow();
      break;
    case 'grow and answer':
      grow();
      send({ kind: 'done', id, answer: ANSWER });
      break;
    case 'bound':
      send({ kind: 'done', id, answer: { ...ANSWER, width: bound?.maxPixels ?? 0, height: bound?.sideMultiple ?? 0 } });
      break;
    case 'later bound':
      send({ kind: 'done', id, answer: { ...ANSWER, width: bound?.laterMaxPixels ?? 0 } });
      break;
    case 'refuse':
      failed(id, { kind: 'invalid-argument', reason: 'IMAGE_TOO_LARGE', message: 'too large' });
      break;
    default:
      // `distinctColours` tells the process, `width` the job.
      send({ kind: 'done', id, answer: { ...ANSWER, width: id } });
  }
}

/** As in native code nothing moves from here on; not before a message is on its way. */
function block(): void {
  setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
}

const held: Buffer[] = [];

/** Holds this much more from here on. */
function grow(): void {
  held.push(Buffer.alloc(GROWTH_BYTES, 1));
}

function failed(id: number, error: Pick<WireError, 'kind' | 'reason' | 'message'> = STOPPED): void {
  send({ kind: 'failed', id, error: { ...error, metadata: {}, violations: [] } });
}

function send(message: FromEngine): void {
  process.send?.(message);
}
