import type { PredictOptions } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { type FieldViolation, invalid } from '../../proto/wire/errors.ts';
import { type ModelReference, readModelReference } from '../../proto/wire/names.ts';
import { imageTooLarge } from '../pipeline/image-bytes.ts';
import type { ImageRequest } from '../pipeline/predict-image.ts';
import { optionViolations, resolveThresholds } from '../predict/thresholds.ts';
import { toPriority, toRequestedOptions } from './convert.ts';

/** A PredictRequest, or the same of an image that came in chunks. */
interface PredictParts {
  readonly image: Uint8Array;
  readonly options?: PredictOptions | undefined;
}

/**
 * @throws ServiceError invalid-argument INVALID_REQUEST listing every violation, IMAGE_TOO_LARGE naming size and limit.
 */
export function parsePredictRequest(request: PredictParts, limits: { readonly maxImageBytes: number }): ImageRequest {
  const { image, options } = request;
  if (image.byteLength > limits.maxImageBytes) {
    throw imageTooLarge(image.byteLength, limits.maxImageBytes);
  }
  const violations: FieldViolation[] = [];
  if (image.byteLength === 0) {
    violations.push({ field: 'image', description: 'expected the bytes of an encoded image, found none' });
  }
  const requested = toRequestedOptions(options);
  violations.push(...optionViolations(requested));
  const { segmentationModel = '', classificationModel = '', postprocessingModel = '' } = options?.pipeline ?? {};
  if (segmentationModel === '' && classificationModel === '') {
    violations.push({
      field: 'options.pipeline',
      description: 'expected a segmentation or a classification model, found neither',
    });
  }
  const read = (text: string, field: string): ModelReference | undefined => {
    const reference = text === '' ? undefined : readModelReference(text, `options.pipeline.${field}`);
    if (reference !== undefined && 'description' in reference) {
      violations.push(reference);
      return undefined;
    }
    return reference;
  };
  const segmentation = read(segmentationModel, 'segmentation_model');
  const classification = read(classificationModel, 'classification_model');
  const postprocessing = read(postprocessingModel, 'postprocessing_model');
  if (violations.length > 0) {
    throw invalid(violations);
  }
  return {
    image,
    models: { segmentation, classification, postprocessing },
    thresholds: resolveThresholds(requested),
    umPerPx: requested.umPerPx,
    includeReference: options?.includeReference ?? false,
    priority: toPriority(options),
  };
}
