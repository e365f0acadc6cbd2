import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import sharp from 'sharp';
import { findBackground } from '../../../inference/predict/background.ts';
import { paintClassMap } from '../../../inference/predict/class-runs.ts';
import { ColourIndex } from '../../../inference/predict/colours.ts';
import { contrastTable } from '../../../inference/predict/contrast.ts';
import { convexHull } from '../../../inference/predict/convex-hull.ts';
import type { DecodedImage } from '../../../inference/predict/decoder.ts';
import type { Flake } from '../../../inference/predict/flake.ts';
import { meanContrast } from '../../../inference/predict/mean-contrast.ts';
import { arcLength, measurePolygon } from '../../../inference/predict/polygon.ts';
import { predict } from '../../../inference/predict/predict.ts';
import { traceOutline } from '../../../inference/predict/outline.ts';
import { decodeMask } from '../../../inference/predict/run-length.ts';
import { measureShape } from '../../../inference/predict/shape.ts';
import { needsReferenceData, referenceData, referencePath } from '../../support/reference-data.ts';
import { regionOf } from './bitmaps.ts';

interface ImageGolden {
  readonly image: string;
  readonly decoded_rgb_sha256: string;
  readonly background: { readonly mean_bgr: readonly number[] };
  readonly contrast_float16_sha256: string;
}
interface FlakeGolden {
  readonly dict: { readonly mask: { readonly size: readonly [number, number]; readonly counts: string } };
  readonly exact: {
    readonly size: number;
    readonly mask_pixels: number;
    readonly center: readonly [number, number];
    readonly min_sidelength: number;
    readonly max_sidelength: number;
    readonly mean_contrast: readonly number[];
    readonly l2?: {
      readonly contour_length_px: number;
      readonly arc_length: number;
      readonly contour_area: number;
      readonly hull_area: number;
    };
  };
}
interface HeadGolden {
  readonly params: { readonly size_threshold: number };
  readonly semantic_map: { readonly sha256: string; readonly png: string };
  readonly flakes: readonly FlakeGolden[];
}
interface SegmentationGolden {
  readonly variants: readonly { readonly flakes: readonly FlakeGolden[] }[];
}

const colourIndex = new ColourIndex();
/** The rectangle's sides differ by the order of float32 operations at most; observed: not at all. */
const SIDE_TOLERANCE_PX = 1e-3;

test('the golden folders are here', needsReferenceData, () => {
  assert.equal(micrographs().length, 12);
});

for (const folder of micrographs()) {
  test(`${folder}: decoded pixels, background and contrast image`, needsReferenceData, async () => {
    const golden = readJson<ImageGolden>(folder, 'image.json');
    const image = await decode(referencePath(golden.image));
    assert.equal(sha256(image.rgb), golden.decoded_rgb_sha256);
    const background = findBackground(colourIndex.collect(image.rgb));
    assert.deepEqual([background.b, background.g, background.r], golden.background.mean_bgr);
    assert.equal(sha256(contrastImage(image.rgb, contrastTable(background))), golden.contrast_float16_sha256);
  });

  for (const head of heads(folder, /^(AMM|GMM|MLP)_\w+\.json$/)) {
    test(`${folder}: flakes of ${head} from its golden class map`, needsReferenceData, async () => {
      const golden = readJson<HeadGolden>(folder, `${head}.json`);
      const image = await decode(referencePath(readJson<ImageGolden>(folder, 'image.json').image));
      const { data: map } = await sharp(referencePath('goldens', folder, golden.semantic_map.png))
        .toColourspace('b-w')
        .raw()
        .toBuffer({ resolveWithObject: true });
      const prediction = await predict(
        new Uint8Array(),
        { decoder: { decode: () => Promise.resolve(image) }, classifier: recorded(image, map), colourIndex },
        {
          thresholds: { scoreThreshold: 0.3, minClassOccupancy: 0.5, sizeThreshold: golden.params.size_threshold },
          includeReference: true,
          classNames: new Map(),
        },
        () => {},
        new AbortController().signal,
      );
      const painted = paintClassMap(prediction.classMasks, image.width, image.height);
      assert.equal(sha256(painted), golden.semantic_map.sha256);
      assert.deepEqual(
        prediction.flakes.map(asDict),
        golden.flakes.map(({ dict }) => dict),
      );
      for (const [index, { exact }] of golden.flakes.entries()) {
        const flake = prediction.flakes[index];
        assert.ok(flake);
        assert.equal(flake.areaPx, exact.size);
        assert.equal(flake.areaPx, exact.mask_pixels);
        near(flake.centre.x, exact.center[0], 1e-9 * exact.center[0]);
        near(flake.centre.y, exact.center[1], 1e-9 * exact.center[1]);
        near(flake.maxSidePx, exact.max_sidelength, SIDE_TOLERANCE_PX);
        near(flake.minSidePx, exact.min_sidelength, SIDE_TOLERANCE_PX);
        checkOutline(flake, exact);
      }
    });
  }

  for (const head of heads(folder, /^(AMM|GMM|MLP)_\w+\.seg\.json$/)) {
    test(`${folder}: shape and contrast of the masks of ${head}`, needsReferenceData, async () => {
      const image = await decode(referencePath(readJson<ImageGolden>(folder, 'image.json').image));
      const contrasts = contrastTable(findBackground(colourIndex.collect(image.rgb)));
      for (const { dict, exact } of readJson<SegmentationGolden>(folder, `${head}.json`).variants.flatMap(
        ({ flakes }) => flakes,
      )) {
        const [height, width] = dict.mask.size;
        const region = regionOf({ width, height, pixels: decodeMask({ width, height, counts: dict.mask.counts }) });
        assert.equal(region.areaPx, exact.mask_pixels);
        const shape = measureShape(region);
        assert.equal(shape.polygonArea, exact.size);
        near(shape.maxSidePx, exact.max_sidelength, SIDE_TOLERANCE_PX);
        near(shape.minSidePx, exact.min_sidelength, SIDE_TOLERANCE_PX);
        // In this mode the original divides by area + 0.0001.
        near(shape.centre.x * (exact.size / (exact.size + 1e-4)), exact.center[0], 1e-9 * exact.center[0]);
        const { b, g, r } = meanContrast(region.mask, image, contrasts);
        for (const [channel, mean] of [b, g, r].entries()) {
          near(mean, exact.mean_contrast[channel] ?? NaN, 1e-3);
        }
      }
    });
  }
}

function micrographs(): string[] {
  if (referenceData === undefined) {
    return [];
  }
  return readdirSync(referencePath('goldens'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => readdirSync(referencePath('goldens', name)).map((id) => `${name}/${id}`));
}

function heads(folder: string, pattern: RegExp): string[] {
  return readdirSync(referencePath('goldens', folder))
    .filter((name) => pattern.test(name))
    .map((name) => name.slice(0, -'.json'.length));
}

/** The caller names the form of the file. */
function readJson<T>(folder: string, file: string): T {
  return JSON.parse(readFileSync(referencePath('goldens', folder, file), 'utf8')) as T;
}

async function decode(path: string): Promise<DecodedImage> {
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
}

/** Answers what the golden class map says about each colour, in the order in which colours are asked. */
function recorded({ rgb }: DecodedImage, map: Uint8Array) {
  const classOf = new Map<number, number>();
  for (let pixel = 0; pixel < map.length; pixel++) {
    const key = ((rgb[pixel * 3] ?? 0) << 16) | ((rgb[pixel * 3 + 1] ?? 0) << 8) | (rgb[pixel * 3 + 2] ?? 0);
    if (!classOf.has(key)) {
      classOf.set(key, map[pixel] ?? 0);
    }
  }
  return { classify: () => Uint8Array.from(classOf.values()) };
}

function contrastImage(rgb: Uint8Array, table: ReturnType<typeof contrastTable>): Uint8Array {
  const bits = [table.b, table.g, table.r].map((channel) => Uint16Array.from(channel, halfBits));
  const [b = new Uint16Array(), g = new Uint16Array(), r = new Uint16Array()] = bits;
  const image = new Uint16Array(rgb.length);
  for (let at = 0; at < rgb.length; at += 3) {
    image[at] = b[rgb[at + 2] ?? 0] ?? 0;
    image[at + 1] = g[rgb[at + 1] ?? 0] ?? 0;
    image[at + 2] = r[rgb[at] ?? 0] ?? 0;
  }
  return new Uint8Array(image.buffer);
}

/** The bits of a number that lies on the binary16 grid, normal or zero. */
function halfBits(value: number): number {
  if (value === 0) {
    return 0;
  }
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | ((Math.abs(value) / 2 ** exponent - 1) * 1024);
}

function asDict({ mask, reference }: Flake) {
  assert.ok(reference);
  return {
    mask: { size: [mask.height, mask.width], counts: mask.counts },
    thickness: reference.thickness,
    size: reference.size,
    mean_contrast: reference.meanContrast,
    center: reference.center,
    max_sidelength: reference.maxSidelength,
    min_sidelength: reference.minSidelength,
    aspect_ratio: reference.aspectRatio,
    false_positive_probability: reference.falsePositiveProbability,
    entropy: reference.entropy,
    bbox: reference.bbox,
  };
}

/** Outline, its area and hull as the postprocessing model's features were made from. */
function checkOutline({ mask }: Flake, { l2 }: FlakeGolden['exact']): void {
  assert.ok(l2);
  const region = regionOf({ ...mask, pixels: decodeMask(mask) });
  const outline = traceOutline(region);
  assert.equal(outline.x.length, l2.contour_length_px);
  assert.equal(measurePolygon(outline).area, l2.contour_area);
  assert.equal(measurePolygon(convexHull(region)).area, l2.hull_area);
  near(arcLength(outline), l2.arc_length, 1e-7 * l2.arc_length);
}

function near(value: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(value - expected) <= tolerance, `${value} for ${expected}`);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
