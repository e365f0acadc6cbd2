import { ServiceError } from '../../proto/wire/errors.ts';
import type { DecodedImage } from '../predict/decoder.ts';
import { checkFinite } from '../predict/instances.ts';
import type { QueryLogits, Segmenter } from '../predict/segmenter.ts';
import { frameOf } from './heavy-model.ts';
import { OnnxSession, type SessionSource } from './onnx-session.ts';

/**
 * Without memory patterns a run takes two thirds of the memory, in the same time. Numbers too small to be normal, which sigmoids and
 * softmaxes give in masses, take the processor many times as long as 0.
 */
export const SEGMENTER_SESSION = { hasMemoryPattern: false, flushesDenormals: true };

/** A `mask2former-segmenter.v1` graph. */
export class OnnxSegmenter implements Segmenter {
  readonly #session: OnnxSession;

  /** Of a session with the settings of `SEGMENTER_SESSION`. */
  constructor(session: OnnxSession) {
    this.#session = session;
  }

  /** To be warmed up once nothing of `source` is held any more. @throws ServiceError as OnnxSession.create does. */
  static async create(source: SessionSource, threads: number): Promise<OnnxSegmenter> {
    return new OnnxSegmenter(await OnnxSession.create(source, { threads, ...SEGMENTER_SESSION }));
  }

  /** The first run, on an image of so many pixels. @throws ServiceError as OnnxSession.warmUp does. */
  warmUp(pixels: number): Promise<void> {
    return this.#session.warmUp(async () => {
      const { classLogits, maskLogits } = await this.segment(warmUpImage(pixels));
      checkFinite(classLogits, 'class logits');
      checkFinite(maskLogits, 'mask logits');
    });
  }

  async segment({ width, height, rgb }: DecodedImage): Promise<QueryLogits> {
    const image = { data: swapRedAndBlue(rgb), shape: [height, width, 3] };
    const outputs = await this.#session.run({ image }, ['class_logits', 'mask_logits']);
    const classLogits = outputs.get('class_logits')?.data;
    const { data: maskLogits, shape = [] } = outputs.get('mask_logits') ?? {};
    const [queries = 0, maskHeight = 0, maskWidth = 0] = shape;
    if (!(classLogits instanceof Float32Array) || !(maskLogits instanceof Float32Array)) {
      const message = `${this.#session.label}: outputs "class_logits" and "mask_logits" are not both float32`;
      throw new ServiceError('internal', 'INTERNAL', message);
    }
    return { queries, classLogits, maskLogits, height: maskHeight, width: maskWidth };
  }
}

/** A copy in the order that the contract has. */
function swapRedAndBlue(rgb: Uint8Array): Uint8Array {
  const bgr = new Uint8Array(rgb.length);
  for (let at = 0; at < rgb.length; at += 3) {
    bgr[at] = rgb[at + 2] ?? 0;
    bgr[at + 1] = rgb[at + 1] ?? 0;
    bgr[at + 2] = rgb[at] ?? 0;
  }
  return bgr;
}

/**
 * A grey ramp: the first run on a size touches its memory for the first time, and takes up to twice as long. Equal pixels everywhere
 * would make equal tokens, and runs of those are no measure of anything.
 */
function warmUpImage(pixels: number): DecodedImage {
  const { width, height } = frameOf(pixels);
  const rgb = Uint8Array.from({ length: width * height * 3 }, (_, at) => 64 + (Math.floor(at / 3) % 128));
  return { width, height, rgb };
}
