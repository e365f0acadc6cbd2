import type { Digest } from '../../proto/wire/digest.ts';
import type { ErrorKind, FieldViolation } from '../../proto/wire/errors.ts';
import { isServiceError, ServiceError } from '../../proto/wire/errors.ts';
import type { Prediction, PredictSettings } from '../predict/predict.ts';
import type { Stage } from '../predict/stages.ts';
import type { ServableId, ServableSpec } from '../rollout/servable.ts';
import type { ImageBound } from './heavy-model.ts';

export interface EngineLimits {
  readonly maxPixels: number;
  /** Threads of one ONNX Runtime session. */
  readonly threads: number;
  /** Of the image that a heavy model is warmed up with; unset: a camera's usual frame. */
  readonly warmUpPixels?: number;
}

/** Which servable does what in a run: at least one of the first two. */
export interface JobModels {
  readonly segmentation?: ServableId | undefined;
  readonly classification?: ServableId | undefined;
  readonly postprocessing?: ServableId | undefined;
}

/** What the supervising process sends. A load adds to what is loaded already. */
export type ToEngine =
  | { readonly kind: 'load'; readonly servables: readonly ServableSpec[]; readonly limits: EngineLimits }
  | {
      readonly kind: 'predict';
      readonly id: number;
      /** The image, or how many bytes of the image pipe are it. */
      readonly image: Uint8Array | number;
      readonly models: JobModels;
      /** Those of `models` that are to be loaded first where they are not. */
      readonly borrowed: readonly ServableSpec[];
      readonly settings: PredictSettings;
      /** Beside `maxPixels`: what the memory has room for now. */
      readonly bound?: ImageBound | undefined;
    }
  | { readonly kind: 'cancel'; readonly id: number };

/** What an engine answers a prediction with: flakes, their masks as run lengths. Pixels, tensors and class maps never cross. */
export type EngineAnswer = Omit<Prediction, 'classMasks'>;

/** What an engine sends. */
export type FromEngine =
  | { readonly kind: 'ready'; readonly failures: readonly LoadFailure[] }
  | { readonly kind: 'stage'; readonly id: number; readonly stage: Stage }
  /** Told where a bound was given: from here on the run takes memory by the image's size. */
  | { readonly kind: 'decoded'; readonly id: number; readonly width: number; readonly height: number }
  | { readonly kind: 'done'; readonly id: number; readonly answer: EngineAnswer }
  | { readonly kind: 'failed'; readonly id: number; readonly error: WireError };

export interface LoadFailure {
  readonly id: ServableId;
  readonly error: WireError;
  /** The artifact whose bytes were not what its digest says, if that was it. */
  readonly corrupt?: Digest;
}

/** A ServiceError as plain data. */
export interface WireError {
  readonly kind: ErrorKind;
  readonly reason: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly retryDelayMs?: number | undefined;
}

/** A foreign error keeps its text: it goes to the supervising process and its log, not to a caller. */
export function toWireError(error: unknown): WireError {
  if (isServiceError(error)) {
    const { kind, reason, message, metadata, violations, retryDelayMs } = error;
    return { kind, reason, message, metadata, violations, retryDelayMs };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { kind: 'internal', reason: 'INTERNAL', message, metadata: {}, violations: [] };
}

export function fromWireError({ kind, reason, message, metadata, violations, retryDelayMs }: WireError): ServiceError {
  if (kind === 'internal') {
    return new ServiceError(kind, reason, 'internal error in an engine; the server log has the details', {
      cause: new Error(message),
    });
  }
  const delay = retryDelayMs === undefined ? {} : { retryDelayMs };
  return new ServiceError(kind, reason, message, { metadata, violations, ...delay });
}
