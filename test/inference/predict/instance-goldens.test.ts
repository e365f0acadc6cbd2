import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import sharp from 'sharp';
import { findBackground } from '../../../inference/predict/background.ts';
import type { ClassMask } from '../../../inference/predict/class-runs.ts';
import { ColourIndex } from '../../../inference/predict/colours.ts';
import { contrastTable } from '../../../inference/predict/contrast.ts';
import { buildFlake } from '../../../inference/predict/flake.ts';
import { type ClassedInstance, classByVote, findInstanceFlakes, ofOneClass } from '../../../inference/predict/instance-flakes.ts';
import { meanContrast } from '../../../inference/predict/mean-contrast.ts';
import { pixelCount } from '../../../inference/predict/runs.ts';
import { needsReferenceData, referencePath } from '../../support/reference-data.ts';
import { mapPixels, pixelAt, runsOf } from './bitmaps.ts';
import { asDict } from './flake-dict.ts';
import { decode, type FlakeGolden, heads, micrographs, readImage } from './golden-files.ts';

const colourIndex = new ColourIndex();
/** The original takes the mean in half precision. */
const CONTRAST_TOLERANCE = 1e-3;

interface VoteGolden {
  readonly instance_mask: string;
  readonly instances: readonly {
    readonly id: number;
    readonly pixels: number;
    readonly winner: number;
    readonly occupancy: number;
  }[];
  readonly variants: readonly {
    readonly params: { readonly size_threshold: number; readonly min_class_occupancy: number };
    readonly flakes: readonly FlakeGolden[];
  }[];
}

interface AloneGolden {
  readonly instance_mask: string;
  readonly results: Readonly<Record<string, readonly FlakeGolden[]>>;
}

type MaskInstance = ClassedInstance['instance'] & { readonly id: number };

test('the goldens of the segmentation modes are here', needsReferenceData, () => {
  assert.ok(withInstances().length >= 8);
});

for (const folder of withInstances()) {
  test(`${folder}: flakes of the instances alone`, needsReferenceData, async () => {
    const golden = read(folder, 'segmentation_only.json') as AloneGolden;
    const instances = await readInstances(golden.instance_mask);
    for (const [name, flakes] of Object.entries(golden.results)) {
      const size = Number(name.replace('size_threshold_', ''));
      const found = findInstanceFlakes(instances.filter(({ areaPx }) => areaPx > size).map(ofOneClass));
      assert.deepEqual(
        found.map((finding) => asDict(buildFlake(finding, { includeReference: true, classNames: new Map() }))),
        flakes.map(({ dict }) => dict),
        name,
      );
    }
  });

  for (const head of heads(folder, /^(AMM|GMM|MLP)_\w+\.seg\.json$/)) {
    test(`${folder}: votes and flakes of ${head}`, needsReferenceData, async () => {
      const golden = read(folder, `${head}.json`) as VoteGolden;
      const classMasks = await readClassMasks(referencePath('goldens', folder, `${head.replace('.seg', '')}.semantic.png`));
      const image = await decode(referencePath(readImage(folder).image));
      const contrasts = contrastTable(findBackground(colourIndex.collect(image.rgb)));
      const instances = await readInstances(golden.instance_mask);
      for (const { id, pixels, winner, occupancy } of golden.instances) {
        const instance = instances.find((each) => each.id === id) ?? assert.fail(`no instance ${id}`);
        assert.equal(instance.areaPx, pixels);
        const won = winner === 0 ? [] : [winner];
        const classesAt = (least: number): number[] =>
          classByVote([instance], classMasks, least).map(({ classIndex }) => classIndex);
        assert.deepEqual(classesAt(0), won, `instance ${id}`);
        assert.deepEqual(classesAt(occupancy), won, `instance ${id} at exactly its share`);
        assert.deepEqual(classesAt(occupancy + 1e-6), [], `instance ${id} above its share`);
      }
      for (const { params, flakes } of golden.variants) {
        const large = instances.filter(({ areaPx }) => areaPx > params.size_threshold);
        const found = findInstanceFlakes(classByVote(large, classMasks, params.min_class_occupancy));
        const built = found.map((finding) => {
          const contrast = meanContrast(finding.region.mask, image, contrasts);
          return buildFlake({ ...finding, meanContrast: contrast }, { includeReference: true, classNames: new Map() });
        });
        assert.deepEqual(
          built.map(asDict),
          flakes.map(({ dict }) => dict),
        );
        for (const [index, { exact }] of flakes.entries()) {
          const { areaPx, meanContrast: contrast } = built[index] ?? assert.fail();
          assert.equal(areaPx, exact.mask_pixels);
          for (const [channel, mean] of [contrast?.b, contrast?.g, contrast?.r].entries()) {
            assert.ok(Math.abs((mean ?? Number.NaN) - (exact.mean_contrast[channel] ?? 0)) <= CONTRAST_TOLERANCE);
          }
        }
      }
    });
  }
}

function withInstances(): string[] {
  return micrographs().filter((folder) => heads(folder, /^segmentation_only\.json$/).length > 0);
}

function read(folder: string, file: string): unknown {
  return JSON.parse(readFileSync(referencePath('goldens', folder, file), 'utf8'));
}

async function readMap(path: string): Promise<Parameters<typeof runsOf>[0]> {
  const { data, info } = await sharp(path).toColourspace('b-w').raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, pixels: data };
}

/** The mask of each value in the picture, ascending. */
async function readMasks(path: string) {
  const map = await readMap(path);
  const values = [...new Set(map.pixels)].filter((value) => value > 0).toSorted((a, b) => a - b);
  return values.map((value) => ({ value, mask: runsOf(mapPixels(map, (x, y) => pixelAt(map, x, y) === value)) }));
}

async function readInstances(path: string): Promise<MaskInstance[]> {
  const masks = await readMasks(referencePath(path));
  return masks.map(({ value, mask }) => ({ id: value, mask, areaPx: pixelCount(mask), score: 1 }));
}

async function readClassMasks(path: string): Promise<ClassMask[]> {
  const masks = await readMasks(path);
  return masks.map(({ value, mask }) => ({ classIndex: value, mask }));
}
