import { readFile, stat } from 'node:fs/promises';
import { type PredictOptions as OptionsMessage, Priority } from '../proto/gen/maskterial/inference/v1/inference_service.ts';
import { invalid, ServiceError } from '../proto/wire/errors.ts';
import type { ClientCallOptions } from './channel.ts';
import { describeSystemError } from './system-error.ts';

/** What one Predict request may hold; the server has the same limit. */
export const MAX_IMAGE_BYTES = 32 * 1024 * 1024;

const PRIORITIES = {
  high: Priority.PRIORITY_HIGH,
  normal: Priority.PRIORITY_UNSPECIFIED,
  low: Priority.PRIORITY_LOW,
} as const;

/** An encoded image (JPEG, PNG, TIFF, WebP): its bytes, a file that has them, or what gives them each time it is sent. */
export type ImageSource = Uint8Array | { readonly path: string } | { read(): Promise<Uint8Array> };

/** Model references are `NAME` (its alias "production"), `NAME@alias` or `NAME:version`; at least one of the first two. */
export interface PredictOptions extends ClientCallOptions {
  readonly segmentation?: string | undefined;
  readonly classification?: string | undefined;
  readonly postprocessing?: string | undefined;
  /** In [0, 1]; the server's default is 0.3. */
  readonly scoreThreshold?: number | undefined;
  /** In [0, 1]; the server's default is 0.5. */
  readonly minClassOccupancy?: number | undefined;
  /** In pixels; the server's default is 200. */
  readonly sizeThreshold?: number | undefined;
  /** Without it there are no areas in um^2. */
  readonly umPerPx?: number | undefined;
  /** Adds the original's record to each flake. */
  readonly includeReference?: boolean | undefined;
  /** Among the images that wait for an engine; unset is normal. */
  readonly priority?: 'high' | 'low' | undefined;
}

/** @throws ServiceError invalid-argument INVALID_REQUEST for a number that the message cannot hold; the server judges all others. */
export function toOptionsMessage(options: PredictOptions): OptionsMessage {
  const { scoreThreshold, minClassOccupancy, sizeThreshold } = options;
  if (sizeThreshold !== undefined && sizeThreshold >>> 0 !== sizeThreshold) {
    const description = `expected a whole number of pixels, 0 or more, found ${sizeThreshold}`;
    throw invalid([{ field: 'options.thresholds.size_threshold', description }]);
  }
  return {
    pipeline: {
      segmentationModel: options.segmentation ?? '',
      classificationModel: options.classification ?? '',
      postprocessingModel: options.postprocessing ?? '',
    },
    thresholds: { scoreThreshold, minClassOccupancy, sizeThreshold },
    umPerPx: options.umPerPx,
    includeReference: options.includeReference ?? false,
    priority: PRIORITIES[options.priority ?? 'normal'],
  };
}

/** @throws ServiceError invalid-argument UNREADABLE_FILE; IMAGE_TOO_LARGE before a file over the limit is read. */
export async function bytesOf(image: ImageSource): Promise<Buffer> {
  if (image instanceof Uint8Array) {
    checkSize('the image', image.byteLength);
    return Buffer.from(image.buffer, image.byteOffset, image.byteLength);
  }
  if ('read' in image) {
    return bytesOf(await image.read());
  }
  try {
    const found = await stat(image.path);
    if (!found.isFile() && !found.isDirectory()) {
      // A pipe may wait for ever and a device may have no end; neither tells its size.
      throw new ServiceError('invalid-argument', 'UNREADABLE_FILE', `cannot read ${image.path}: a pipe or a device, not a file`);
    }
    checkSize(image.path, found.size);
    return await readFile(image.path);
  } catch (error) {
    if (error instanceof ServiceError) {
      throw error;
    }
    throw new ServiceError('invalid-argument', 'UNREADABLE_FILE', `cannot read ${image.path}: ${describeSystemError(error)}`, {
      cause: error,
    });
  }
}

function checkSize(name: string, sizeBytes: number): void {
  if (sizeBytes > MAX_IMAGE_BYTES) {
    throw new ServiceError('invalid-argument', 'IMAGE_TOO_LARGE', `${name}: ${sizeBytes} bytes, at most ${MAX_IMAGE_BYTES}`);
  }
}
