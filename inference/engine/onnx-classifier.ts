import { ServiceError } from '../../proto/wire/errors.ts';
import type { PixelClassifier } from '../predict/classifier.ts';
import { OnnxSession, type SessionSource } from './onnx-session.ts';

/** Colours of the warm-up run: the kernels' buffers reach their usual size. */
const WARM_UP_COLOURS = 32_768;

/** A `pixel-classifier.v1` graph. */
export class OnnxClassifier implements PixelClassifier {
  readonly #session: OnnxSession;

  private constructor(session: OnnxSession) {
    this.#session = session;
  }

  /** @throws ServiceError as OnnxSession.create and warmUp do. */
  static async load(source: SessionSource, threads: number): Promise<OnnxClassifier> {
    const session = await OnnxSession.create(source, { threads });
    const classifier = new OnnxClassifier(session);
    await session.warmUp(() => classifier.classify(warmUpContrast(), WARM_UP_COLOURS));
    return classifier;
  }

  async classify(contrast: Float32Array, count: number): Promise<Uint8Array> {
    const outputs = await this.#session.run({ contrast: { data: contrast, shape: [count, 3] } }, ['class']);
    const classes = outputs.get('class')?.data;
    if (!(classes instanceof Uint8Array) || classes.length !== count) {
      throw new ServiceError('internal', 'INTERNAL', `${this.#session.label}: output "class" is not uint8 [${count}]`);
    }
    return classes;
  }

  /** Gives its memory back; it is of no use any more. */
  release(): Promise<void> {
    return this.#session.release();
  }
}

/** A ramp through the contrasts of dark to bright pixels. */
function warmUpContrast(): Float32Array {
  return Float32Array.from({ length: WARM_UP_COLOURS * 3 }, (_, i) => (i / (WARM_UP_COLOURS * 3)) * 2 - 1);
}
