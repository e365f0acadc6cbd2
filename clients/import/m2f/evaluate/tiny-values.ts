/** The smallest number that single precision has is 1e-45: to the graph all that is below this is 0 as well. */
const TINY = 1e-60;

/**
 * Puts 0 for what is next to nothing, in place, in what a layer gives. With subnormal doubles, those below 2e-308, processors take ten
 * times as long and more, and weights can be chosen so that layer after layer gives nothing else. From values that are 0 or above 1e-60
 * the next layers' products are above 1e-250, with stored weights, with one another or with the shares of samples, and so is what is
 * left where they cancel out: nothing subnormal is worked with.
 */
export function flushTiny(values: Float64Array): void {
  for (let at = 0; at < values.length; at += 1) {
    if (Math.abs(values[at] ?? 0) < TINY) {
      values[at] = 0;
    }
  }
}
