import type { PixelClassifier } from '../predict/classifier.ts';
import type { ColourIndex } from '../predict/colours.ts';
import { predict } from '../predict/predict.ts';
import { DEFAULT_THRESHOLDS } from '../predict/thresholds.ts';

const WIDTH = 1920;
const HEIGHT = 1200;
/** V8 compiles a hot loop for good within its first few runs. */
const RUNS = 3;
/** Blue contrast below which the stand-in classifier sees a flake. */
const FLAKE_CONTRAST = -0.08;

/**
 * Runs the pipeline on a made-up micrograph, so that no request pays for V8's compilation and the first touch of the tables. The
 * classes come from a stand-in: what the loaded classifiers would say of the picture is unknown, and the geometry must be warm
 * too. The classifiers' own warm-up is their session's first run.
 */
export async function warmUpPipeline(colourIndex: ColourIndex): Promise<void> {
  const rgb = picture();
  const decoder = { decode: () => Promise.resolve({ width: WIDTH, height: HEIGHT, rgb }) };
  const settings = { thresholds: DEFAULT_THRESHOLDS, includeReference: false, classNames: new Map<number, string>() };
  const signal = new AbortController().signal;
  for (let run = 0; run < RUNS; run += 1) {
    await predict(new Uint8Array(), { decoder, classifier: byDarkness, colourIndex }, settings, () => undefined, signal);
  }
}

/** Class 1 or 2 by how dark a colour is, with the frayed edges that noise makes. */
const byDarkness: PixelClassifier = {
  classify: (contrast, count) => {
    const classes = new Uint8Array(count);
    for (let index = 0; index < count; index += 1) {
      const blue = contrast[index * 3] ?? 0;
      classes[index] = blue > FLAKE_CONTRAST ? 0 : blue > 2 * FLAKE_CONTRAST ? 1 : 2;
    }
    return classes;
  },
};

/** A grey substrate and darker disks, with enough texture for tens of thousands of colours. */
function picture(): Uint8Array {
  const rgb = new Uint8Array(WIDTH * HEIGHT * 3);
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) {
      const isDisk = ((x % 240) - 120) ** 2 + ((y % 200) - 100) ** 2 < 50 ** 2;
      const shade = isDisk ? 20 * (1 + (Math.floor(x / 240) % 2)) : 0;
      const texture = Math.imul(y * WIDTH + x, 0x9e3779b1);
      const at = (y * WIDTH + x) * 3;
      rgb[at] = 160 - shade + ((texture >>> 28) & 15);
      rgb[at + 1] = 150 - shade + ((texture >>> 20) & 15);
      rgb[at + 2] = 170 - shade + ((texture >>> 12) & 15);
    }
  }
  return rgb;
}
