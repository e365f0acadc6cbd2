import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { findBackground } from '../../../inference/predict/background.ts';
import { findClassRegions } from '../../../inference/predict/class-regions.ts';
import { paintClassMap } from '../../../inference/predict/class-runs.ts';
import { ColourIndex } from '../../../inference/predict/colours.ts';
import { contrastTable } from '../../../inference/predict/contrast.ts';
import { convexHull } from '../../../inference/predict/convex-hull.ts';
import type { DecodedImage } from '../../../inference/predict/decoder.ts';
import { meanContrast } from '../../../inference/predict/mean-contrast.ts';
import { traceOutline } from '../../../inference/predict/outline.ts';
import { arcLength, measurePolygon } from '../../../inference/predict/polygon.ts';
import { postprocess } from '../../../inference/predict/postprocess.ts';
import { predict } from '../../../inference/predict/predict.ts';
import type { Region } from '../../../inference/predict/regions.ts';
import { measureShape } from '../../../inference/predict/shape.ts';
import { shapeFeatures } from '../../../inference/predict/shape-features.ts';
import { decodeMask } from '../../support/mask-decoder.ts';
import { needsReferenceData, referencePath } from '../../support/reference-data.ts';
import { publishedShapeClassifier } from '../../support/shape-classifier.ts';
import { regionOf } from './bitmaps.ts';
import { asDict } from './flake-dict.ts';
import { decode, type FlakeGolden, heads, micrographs, readHead, readImage, segmentationFlakes, sha256 } from './golden-files.ts';

const colourIndex = new ColourIndex();
/** The rectangle's sides differ by the order of float32 operations at most; observed: not at all. */
const SIDE_TOLERANCE_PX = 1e-3;

test('the golden folders are here', needsReferenceData, () => {
  assert.equal(micrographs().length, 12);
});

for (const folder of micrographs()) {
  test(`${folder}: decoded pixels, background and contrast image`, needsReferenceData, async () => {
    const golden = readImage(folder);
    const image = await decode(referencePath(golden.image));
    assert.equal(sha256(image.rgb), golden.decoded_rgb_sha256);
    const background = findBackground(colourIndex.collect(image.rgb));
    assert.deepEqual([background.b, background.g, background.r], golden.background.mean_bgr);
    assert.equal(sha256(contrastImage(image.rgb, contrastTable(background))), golden.contrast_float16_sha256);
  });

  for (const head of heads(folder, /^(AMM|GMM|MLP)_\w+\.json$/)) {
    test(`${folder}: flakes of ${head} from its golden class map`, needsReferenceData, async () => {
      const golden = readHead(folder, head);
      const image = await decode(referencePath(readImage(folder).image));
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
      }
      const regions = findClassRegions(prediction.classMasks, golden.params.size_threshold);
      for (const [index, { region }] of regions.entries()) {
        checkOutline(region, golden.flakes[index]?.exact);
      }
      const findings = regions.map((each, index) => ({ ...each, index, falsePositiveProbability: 0 }));
      const kept = await postprocess(findings, publishedShapeClassifier, { scoreThreshold: golden.params.score_threshold });
      const { kept_indices: indices, flakes } = golden.with_postprocessing;
      assert.deepEqual(
        kept.map(({ index, falsePositiveProbability }) => [index, falsePositiveProbability]),
        indices.map((index, at) => [index, flakes[at]?.false_positive_probability]),
      );
    });
  }

  test(`${folder}: shape and contrast of the masks in segmentation mode`, needsReferenceData, async () => {
    const image = await decode(referencePath(readImage(folder).image));
    const contrasts = contrastTable(findBackground(colourIndex.collect(image.rgb)));
    for (const { dict, exact } of segmentationFlakes(folder)) {
      const [height, width] = dict.mask.size;
      const region = regionOf({ width, height, pixels: decodeMask({ width, height, counts: dict.mask.counts }) });
      assert.equal(region.areaPx, exact.mask_pixels);
      const shape = measureShape(region);
      assert.equal(shape.polygonArea, exact.size);
      near(shape.maxSidePx, exact.max_sidelength, SIDE_TOLERANCE_PX);
      near(shape.minSidePx, exact.min_sidelength, SIDE_TOLERANCE_PX);
      near(shape.centre.x, exact.center[0], 1e-9 * exact.center[0]);
      near(shape.centre.y, exact.center[1], 1e-9 * exact.center[1]);
      const { b, g, r } = meanContrast(region.mask, image, contrasts);
      for (const [channel, mean] of [b, g, r].entries()) {
        near(mean, exact.mean_contrast[channel] ?? Number.NaN, 1e-3);
      }
    }
  });
}

/** Answers what the golden class map says about each colour, in the order in which colours are asked. */
function recorded({ rgb }: DecodedImage, map: Uint8Array) {
  const isKnown = new Uint8Array(2 ** 24);
  const classes: number[] = [];
  for (let pixel = 0; pixel < map.length; pixel++) {
    const key = ((rgb[pixel * 3] ?? 0) << 16) | ((rgb[pixel * 3 + 1] ?? 0) << 8) | (rgb[pixel * 3 + 2] ?? 0);
    if (isKnown[key] === 0) {
      isKnown[key] = 1;
      classes.push(map[pixel] ?? 0);
    }
  }
  return { classify: () => Uint8Array.from(classes) };
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

/** Outline, its area and hull as the postprocessing model's features were made from. */
function checkOutline(region: Region, exact: FlakeGolden['exact'] | undefined): void {
  assert.ok(exact?.l2);
  const outline = traceOutline(region);
  assert.equal(outline.x.length, exact.l2.contour_length_px);
  assert.equal(measurePolygon(outline).area, exact.l2.contour_area);
  assert.equal(measurePolygon(convexHull(region)).area, exact.l2.hull_area);
  near(arcLength(outline), exact.l2.arc_length, 1e-7 * exact.l2.arc_length);
  const features = shapeFeatures(region);
  near(features?.outlineLength ?? 0, exact.l2.arcarea, 1e-7 * exact.l2.arcarea);
  assert.equal(features?.solidity, exact.l2.solidity);
}

function near(value: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(value - expected) <= tolerance, `${value} for ${expected}`);
}
