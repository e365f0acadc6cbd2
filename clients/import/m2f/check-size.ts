import { MAX_CHECK_BYTES } from '../../../proto/wire/golden-check.ts';
import { unsupportedModel } from '../bundle-error.ts';
import { estimateCheckCost } from './check-cost.ts';
import { area, reduced, type Size } from './cost-tally.ts';
import { CLASS_LOGITS, type M2fSettings } from './settings.ts';

export interface CheckLimits {
  readonly work: number;
  readonly peakBytes: number;
  readonly fileBytes: number;
}

/**
 * Half a minute on a core that nobody else uses, a minute of one on a busy machine; the published models take a tenth of it. Memory
 * is what is needed at the same time: what is no longer needed may be resident for a while, as much again.
 */
export const CHECK_LIMITS: CheckLimits = { work: 3e10, peakBytes: 200_000_000, fileBytes: MAX_CHECK_BYTES };

/** Two cells show rows and columns that are mixed up, and have several positions on the coarsest level at any padding. */
const CELLS = [2, 1] as const;
/** Bytes of a check beside its tensors' elements. */
const FRAME_BYTES = 2048;

/**
 * How many squares of the padding's size the check's image fills, next to each other: two, or one where two cost too much.
 * @throws UNSUPPORTED_MODEL where even one does. A model that is so large, or pads images so far, would go out without anybody knowing
 * whether its graph is right.
 */
export function chooseCells(settings: M2fSettings, file: string, limits: CheckLimits = CHECK_LIMITS): 1 | 2 {
  const cells = CELLS.find((count) => isAffordable(settings, count, limits));
  if (cells !== undefined) {
    return cells;
  }
  const { sizeDivisibility, maskDecoder } = settings;
  const { work, peakBytes } = estimateCheckCost(settings, paddedSize(settings, 1));
  const seconds = (of: number): number => Math.ceil(of / 1e9);
  const costs = `about ${seconds(work)} seconds, ${peakBytes} bytes of memory and ${fileBytes(settings, 1)} of its file`;
  const most = `at most ${seconds(limits.work)}, ${limits.peakBytes} and ${limits.fileBytes} are spent`;
  throw unsupportedModel(
    file,
    `a check with ${maskDecoder.queries} queries, on images padded to multiples of ${sizeDivisibility}, takes ${costs}; ${most}`,
  );
}

function isAffordable(settings: M2fSettings, cells: number, limits: CheckLimits): boolean {
  const { work, peakBytes } = estimateCheckCost(settings, paddedSize(settings, cells));
  return work <= limits.work && peakBytes <= limits.peakBytes && fileBytes(settings, cells) <= limits.fileBytes;
}

function paddedSize({ sizeDivisibility }: M2fSettings, cells: number): Size {
  return { height: sizeDivisibility, width: cells * sizeDivisibility };
}

/** Pixels and logits in base64: four characters for three bytes. */
function fileBytes(settings: M2fSettings, cells: number): number {
  const image = paddedSize(settings, cells);
  const logits = settings.maskDecoder.queries * (CLASS_LOGITS + area(reduced(image, 4)));
  return Math.ceil((4 / 3) * (3 * area(image) + 4 * logits)) + FRAME_BYTES;
}
