import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import type { BlobRef } from '../../proto/wire/digest.ts';
import type { PredictOptions } from '../inference-client.ts';
import type { Answer } from '../prediction.ts';
import { answerSchema, toAnswer } from './answer-schema.ts';
import { resultJson } from './result-json.ts';

/** Raised when what a file holds changes its meaning; files of another number count as absent. */
const FORMAT = 1;

/** What an answer depends on besides the image and the models' versions. */
export type RequestRecord = Readonly<Record<string, string | number | boolean | null>>;

/** The request without the versions: which one a name means, and who may be taken for whom, is for others to say. */
export function requestRecord(options: PredictOptions): RequestRecord {
  return {
    segmentation: modelName(options.segmentation),
    classification: modelName(options.classification),
    postprocessing: modelName(options.postprocessing),
    score_threshold: options.scoreThreshold ?? null,
    min_class_occupancy: options.minClassOccupancy ?? null,
    size_threshold: options.sizeThreshold ?? null,
    um_per_px: options.umPerPx ?? null,
    include_reference: options.includeReference ?? false,
  };
}

/** One image's whole answer as text: the object of `--json`, with what it is the answer to. */
export function encodeResult(path: string, image: BlobRef, request: RequestRecord, answer: Answer): string {
  const head = { maskterial_result: FORMAT, image_digest: image.digest, image_bytes: image.sizeBytes, request };
  return `${JSON.stringify({ ...head, ...resultJson(path, answer) })}\n`;
}

/** The answer in such a text, if it is one to this image and request; undefined for anything else, damaged files included. */
export function decodeResult(text: string, image: BlobRef, request: RequestRecord): Answer | undefined {
  const result = resultSchema.safeParse(parseJson(text));
  if (!result.success) {
    return undefined;
  }
  const { image_digest: digest, image_bytes: sizeBytes, request: asked } = result.data;
  const isSame = digest === image.digest && sizeBytes === image.sizeBytes && isDeepStrictEqual(asked, request);
  return isSame ? toAnswer(result.data) : undefined;
}

function modelName(reference: string | undefined): string | null {
  return reference?.split(/[@:]/)[0] ?? null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Cut off or overwritten: as good as absent.
    return undefined;
  }
}

const resultSchema = answerSchema.extend({
  maskterial_result: z.literal(FORMAT),
  image_digest: z.string(),
  image_bytes: z.int(),
  request: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
});
