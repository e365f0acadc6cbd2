import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compareFlakes, type Expectation, type FoundFlake } from '../../../clients/demo/compare.ts';
import { formatComparison } from '../../../clients/demo/report.ts';
import type { Sample, Terrace } from '../../../clients/demo/sample.ts';

const WIDTH = 100;
const HEIGHT = 60;
const EXPECTATION: Expectation = { layers: [1, 2, 3, 4], sizeThresholdPx: 200, umPerPx: 0.5, minIou: 0.8, maxCentreErrorPx: 3 };

interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly layers: number;
}

const ONE: Rectangle = { x: 0, y: 5, width: 20, height: 20, layers: 1 };
const TWO: Rectangle = { x: 20, y: 5, width: 20, height: 20, layers: 2 };
const SMALL: Rectangle = { x: 60, y: 5, width: 10, height: 10, layers: 3 };
const GRAPHITE: Rectangle = { x: 60, y: 30, width: 25, height: 25, layers: 90 };
const sample = createSample([ONE, TWO, SMALL, GRAPHITE]);

function createSample(rectangles: readonly Rectangle[]): Sample {
  const terraceMap = new Uint8Array(WIDTH * HEIGHT);
  const terraces = rectangles.map((rectangle, index): Terrace => {
    for (let y = rectangle.y; y < rectangle.y + rectangle.height; y += 1) {
      terraceMap.fill(index + 1, y * WIDTH + rectangle.x, y * WIDTH + rectangle.x + rectangle.width);
    }
    const { layers, areaPx, centre } = found(rectangle);
    return { number: index + 1, layers, areaPx, centre };
  });
  return { width: WIDTH, height: HEIGHT, terraceMap, terraces, specks: [] };
}

function found({ x, y, width, height, layers }: Rectangle): FoundFlake {
  const runs = Array.from({ length: width }, (_, column) =>
    column === 0 ? [x * HEIGHT + y, height] : [HEIGHT - height, height],
  ).flat();
  return {
    layers,
    areaPx: width * height,
    areaUm2: width * height * 0.25,
    centre: { x: x + (width - 1) / 2, y: y + (height - 1) / 2 },
    runs: [...runs, WIDTH * HEIGHT - runs.reduce((sum, run) => sum + run, 0)],
  };
}

describe('compareFlakes', () => {
  it('agrees when every reportable terrace was found and nothing else', () => {
    const comparison = compareFlakes(sample, [found(TWO), found(ONE)], EXPECTATION);
    assert.deepEqual(comparison.problems, []);
    assert.deepEqual(
      comparison.matches.map(({ terrace, iou, centreErrorPx }) => [terrace.number, iou, centreErrorPx]),
      [
        [1, 1, 0],
        [2, 1, 0],
      ],
    );
    assert.deepEqual(
      comparison.passedOver.map(({ layers }) => layers),
      [3, 90],
    );
  });

  it('allows a rim to be missing', () => {
    const eroded = found({ ...ONE, x: 1, y: 6, width: 18, height: 18 });
    assert.deepEqual(compareFlakes(sample, [eroded, found(TWO)], EXPECTATION).problems, []);
  });

  const disagreements: readonly { name: string; flakes: readonly FoundFlake[]; problems: number }[] = [
    { name: 'one flake is missing', flakes: [found(ONE)], problems: 1 },
    { name: 'nothing was found', flakes: [], problems: 2 },
    { name: 'the layers are wrong', flakes: [found({ ...ONE, layers: 2 }), found(TWO)], problems: 1 },
    { name: 'the layers are swapped', flakes: [found({ ...ONE, layers: 2 }), found({ ...TWO, layers: 1 })], problems: 2 },
    { name: 'the too small one is reported', flakes: [found(ONE), found(TWO), found(SMALL)], problems: 1 },
    { name: 'graphite is reported', flakes: [found(ONE), found(TWO), found({ ...GRAPHITE, layers: 4 })], problems: 1 },
    {
      name: 'a flake is reported on the bare chip',
      flakes: [found(ONE), found(TWO), found({ ...ONE, x: 20, y: 32 })],
      problems: 1,
    },
    { name: 'a flake is reported twice', flakes: [found(ONE), found(ONE), found(TWO)], problems: 1 },
    { name: 'two neighbours are reported as one', flakes: [found({ ...ONE, width: 40 })], problems: 3 },
    { name: 'a mask is too small', flakes: [found({ ...ONE, x: 2, y: 7, width: 16, height: 16 }), found(TWO)], problems: 1 },
    {
      name: 'a mask is right and its centre is not',
      flakes: [{ ...found(ONE), centre: { x: 9.5, y: 19 } }, found(TWO)],
      problems: 1,
    },
    {
      name: 'an area in pixels is not that of the mask',
      flakes: [{ ...found(ONE), areaPx: 401, areaUm2: 100.25 }, found(TWO)],
      problems: 1,
    },
    { name: 'an area is in the wrong unit', flakes: [{ ...found(ONE), areaUm2: 400 }, found(TWO)], problems: 1 },
  ];
  for (const { name, flakes, problems } of disagreements) {
    it(`disagrees when ${name}`, () => {
      assert.equal(compareFlakes(sample, flakes, EXPECTATION).problems.length, problems);
    });
  }

  it('disagrees when there was nothing to find', () => {
    assert.equal(compareFlakes(createSample([GRAPHITE]), [], EXPECTATION).problems.length, 1);
    assert.equal(compareFlakes(createSample([]), [], EXPECTATION).problems.length, 1);
  });
});

describe('formatComparison', () => {
  it('shows both values of every flake and marks the one that disagrees', () => {
    const comparison = compareFlakes(sample, [found({ ...ONE, layers: 4 })], EXPECTATION);
    const lines = formatComparison(comparison, 0.5).split('\n');
    assert.match(lines[1] ?? '', /^ +1 +1 +4 +100\.0 +100\.0 +9\.5, 14\.5 +9\.5, 14\.5 +1\.000 +DISAGREES$/);
    assert.match(lines[2] ?? '', /^ +2 +2 +- +100\.0 +- +29\.5, 14\.5 +- +- +DISAGREES$/);
    assert.match(lines.at(-2) ?? '', /3 layers of 25 um2, 90 layers of 156 um2/);
  });
});
