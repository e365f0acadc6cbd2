/** Largest magnitude that still rounds to the largest finite binary16, 65504, and not to infinity (exclusive). */
const OVERFLOW = 65520;
const SMALLEST_STEP = 2 ** -24;
/** Adding and subtracting it rounds a small number to an integer, ties to even, as every sum of doubles does. */
const INTEGER_STEP = 2 ** 52;

/**
 * The IEEE binary16 value nearest to `value`, ties to even, subnormals and infinities included.
 * A quotient or difference of binary16 values may be rounded to double first: 53 bits are more than twice 11 + 1, so rounding
 * twice gives what rounding once gives.
 */
export function roundToHalf(value: number): number {
  const magnitude = Math.abs(value);
  if (!(magnitude < OVERFLOW)) {
    return Number.isNaN(value) ? value : Math.sign(value) * Number.POSITIVE_INFINITY;
  }
  let step = SMALLEST_STEP;
  while (magnitude >= step * 2048) {
    step *= 2;
  }
  const rounded = (magnitude / step + INTEGER_STEP - INTEGER_STEP) * step;
  return value < 0 || Object.is(value, -0) ? -rounded : rounded;
}
