import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFlakeShape, TEAR_SHARE, terraceAt } from '../../../clients/demo/flake-shapes.ts';
import { createRandom } from '../../../clients/demo/random.ts';
import { createSample, type Sample } from '../../../clients/demo/sample.ts';

const WIDTH = 1920;
const HEIGHT = 1200;
const SEEDS = [1, 2, 3];
const samples = SEEDS.map((seed) => createSample(createRandom(seed), WIDTH, HEIGHT));

/** Pixel count and mean position of each terrace number on the map, 0 included. */
function measure({ terraceMap, terraces }: Sample): { areaPx: number; x: number; y: number }[] {
  const sums = Array.from({ length: terraces.length + 1 }, () => ({ areaPx: 0, x: 0, y: 0 }));
  for (let pixel = 0; pixel < terraceMap.length; pixel += 1) {
    const sum = sums[terraceMap[pixel] ?? 0];
    assert.ok(sum !== undefined);
    sum.areaPx += 1;
    sum.x += pixel % WIDTH;
    sum.y += Math.floor(pixel / WIDTH);
  }
  return sums.map(({ areaPx, x, y }) => ({ areaPx, x: x / areaPx, y: y / areaPx }));
}

describe('createFlakeShape', () => {
  it('keeps within its radius, tears aside, and covers its centre', () => {
    for (let seed = 0; seed < 50; seed += 1) {
      const shape = createFlakeShape(createRandom(seed), 50, 1);
      assert.notEqual(terraceAt(shape, { x: 0, y: 0 }), undefined);
      for (let angle = 0; angle < 2 * Math.PI; angle += 0.02) {
        const reach = 50 * (1 + 2 * TEAR_SHARE);
        assert.equal(terraceAt(shape, { x: reach * Math.cos(angle), y: reach * Math.sin(angle) }), undefined);
      }
    }
  });

  it('has edges at multiples of 30 degrees to each other', () => {
    const { outline, steps } = createFlakeShape(createRandom(5), 60, 3);
    const angles = [...outline, ...steps].map(({ normal }) => Math.atan2(normal.y, normal.x) / (Math.PI / 6));
    for (const angle of angles) {
      const turns = angle - (angles[0] ?? 0);
      assert.ok(Math.abs(turns - Math.round(turns)) < 1e-9);
    }
    assert.equal(steps.length, 2);
  });
});

describe('createSample', () => {
  it('is the same for a seed and another for another', () => {
    const again = createSample(createRandom(1), WIDTH, HEIGHT);
    assert.deepEqual([again.terraces, again.specks], [samples[0]?.terraces, samples[0]?.specks]);
    assert.ok(Buffer.from(again.terraceMap).equals(samples[0]?.terraceMap ?? new Uint8Array()));
    assert.notDeepEqual(samples[1]?.terraces, samples[0]?.terraces);
  });

  it('states the area and centre of what the map shows', () => {
    const sample = samples[0];
    assert.ok(sample !== undefined);
    const measured = measure(sample);
    for (const { number, areaPx, centre } of sample.terraces) {
      const onMap = measured[number];
      assert.equal(onMap?.areaPx, areaPx);
      assert.ok(Math.hypot(onMap.x - centre.x, onMap.y - centre.y) < 1e-6);
    }
  });

  it('holds every case: 1 to 4 layers, steps, the frame, too small ones, graphite, and no borderline sizes', () => {
    for (const sample of samples) {
      const { terraces, terraceMap } = sample;
      const reportable = terraces.filter(({ layers, areaPx }) => layers <= 4 && areaPx >= 200);
      assert.deepEqual(new Set(reportable.map(({ layers }) => layers)), new Set([1, 2, 3, 4]));
      assert.ok(terraces.some(({ layers, areaPx }) => layers <= 4 && areaPx < 200));
      assert.ok(terraces.some(({ layers }) => layers > 10));
      assert.ok(terraces.every(({ areaPx }) => areaPx <= 140 || areaPx >= 500));
      const touching = new Set<number>();
      const onFrame = new Set<number>();
      for (let pixel = 0; pixel < terraceMap.length; pixel += 1) {
        const number = terraceMap[pixel] ?? 0;
        const x = pixel % WIDTH;
        const y = Math.floor(pixel / WIDTH);
        if (number > 0 && (x === 0 || y === 0 || x === WIDTH - 1 || y === HEIGHT - 1)) {
          onFrame.add(number);
        }
        const next = x < WIDTH - 1 ? (terraceMap[pixel + 1] ?? 0) : 0;
        if (number > 0 && next > 0 && number !== next) {
          touching.add(number);
        }
      }
      assert.ok(reportable.some(({ number }) => onFrame.has(number)));
      assert.ok(reportable.filter(({ number }) => touching.has(number)).length >= 4);
    }
  });

  it('keeps specks off the flakes', () => {
    for (const { specks, terraceMap } of samples) {
      assert.ok(specks.length > 100);
      assert.ok(specks.every(({ centre }) => terraceMap[Math.floor(centre.y) * WIDTH + Math.floor(centre.x)] === 0));
    }
  });

  it('says so when the frame is too small', () => {
    assert.throws(() => createSample(createRandom(1), 300, 300), RangeError);
  });
});
