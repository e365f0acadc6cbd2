import assert from 'node:assert/strict';
import { decodeRunLengths, type RunLengthMask, rasterize } from '../../proto/wire/run-length.ts';

/** The mask as `height * width` bytes of 0 and 1, row by row; its runs must fill it. */
export function decodeMask({ height, width, counts }: RunLengthMask): Uint8Array {
  const lengths = decodeRunLengths(counts);
  assert.equal(
    lengths.reduce((sum, length) => sum + length, 0),
    height * width,
  );
  return rasterize(lengths, height, { x: 0, y: 0, width, height });
}
