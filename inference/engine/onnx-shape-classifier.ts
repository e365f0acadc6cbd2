import { ServiceError } from '../../proto/wire/errors.ts';
import type { ShapeClassifier } from '../predict/shape-classifier.ts';
import { OnnxSession, type SessionSource } from './onnx-session.ts';

/** A `shape-classifier.v1` graph. */
export class OnnxShapeClassifier implements ShapeClassifier {
  readonly #session: OnnxSession;

  private constructor(session: OnnxSession) {
    this.#session = session;
  }

  /** @throws ServiceError as OnnxSession.create and warmUp do. */
  static async load(source: SessionSource, threads: number): Promise<OnnxShapeClassifier> {
    const session = await OnnxSession.create(source, { threads });
    const classifier = new OnnxShapeClassifier(session);
    await session.warmUp(() => classifier.judge(Float64Array.of(4, 1), 1));
    return classifier;
  }

  async judge(features: Float64Array, count: number): Promise<Float64Array> {
    const outputs = await this.#session.run({ features: { data: features, shape: [count, 2] } }, ['probability']);
    const probabilities = outputs.get('probability')?.data;
    if (!(probabilities instanceof Float64Array) || probabilities.length !== count) {
      throw new ServiceError('internal', 'INTERNAL', `${this.#session.label}: output "probability" is not float64 [${count}]`);
    }
    return probabilities;
  }

  /** Gives its memory back; it is of no use any more. */
  release(): Promise<void> {
    return this.#session.release();
  }
}
