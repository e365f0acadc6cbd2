import type { PixelClassifier } from '../predict/classifier.ts';
import type { ColourIndex } from '../predict/colours.ts';
import { predict } from '../predict/predict.ts';
import { DEFAULT_THRESHOLDS } from '../predict/thresholds.ts';

const WIDTH = 640;
const HEIGHT = 400;
/** V8 compiles a hot loop after a few runs. */
const RUNS = 4;

/** Runs the whole pipeline on a made-up picture, so that the first request does not pay for V8's compilation. */
export async function warmUpPipeline(classifier: PixelClassifier, colourIndex: ColourIndex): Promise<void> {
  const rgb = picture();
  const decoder = { decode: () => Promise.resolve({ width: WIDTH, height: HEIGHT, rgb }) };
  const settings = { thresholds: DEFAULT_THRESHOLDS, includeReference: false, classNames: new Map<number, string>() };
  const signal = new AbortController().signal;
  for (let run = 0; run < RUNS; run += 1) {
    await predict(new Uint8Array(), { decoder, classifier, colourIndex }, settings, () => undefined, signal);
  }
}

/** A grey substrate with a little texture and darker rectangles of several shades. */
function picture(): Uint8Array {
  const rgb = new Uint8Array(WIDTH * HEIGHT * 3);
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) {
      const patch = x % 160 < 60 && y % 100 < 50 ? 20 * (1 + Math.floor(x / 160)) : 0;
      const at = (y * WIDTH + x) * 3;
      rgb[at] = 160 - patch + ((x * 7 + y * 3) % 5);
      rgb[at + 1] = 150 - patch + ((x * 3 + y * 5) % 5);
      rgb[at + 2] = 170 - patch + ((x * 5 + y * 11) % 5);
    }
  }
  return rgb;
}
