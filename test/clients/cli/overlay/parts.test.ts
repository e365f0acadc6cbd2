import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { fitText, textSvg, textWidth } from '../../../../clients/cli/overlay/glyphs.ts';
import { placeLabels } from '../../../../clients/cli/overlay/labels.ts';
import { traceOutlines } from '../../../../clients/cli/overlay/outline.ts';
import { lineStyle } from '../../../../clients/cli/overlay/palette.ts';
import { chooseScaleBar } from '../../../../clients/cli/overlay/scale-bar.ts';

test('scale bars have round lengths and stay below the most', () => {
  const table: [number, number | undefined, number, string][] = [
    [384, 0.3844, 100 / 0.3844, '100 \u00b5m'],
    [200, 0.5, 200, '100 \u00b5m'],
    [199, 0.5, 100, '50 \u00b5m'],
    [100, 0.05, 100, '5 \u00b5m'],
    [84, 0.01, 50, '0.5 \u00b5m'],
    [384, undefined, 200, '200 px'],
  ];
  for (const [most, umPerPx, lengthPx, label] of table) {
    const bar = chooseScaleBar(most, umPerPx);
    assert.equal(bar.label, label);
    assert.ok(Math.abs(bar.lengthPx - lengthPx) < 1e-9);
  }
});

test('every printable ASCII character and the units have glyphs of their own', () => {
  const shapes = new Map<string, string>();
  const box = textSvg('\u4e2d', 0, 0, { capPx: 10, colour: '#fff' });
  for (const character of [
    ...Array.from({ length: 94 }, (_, at) => String.fromCharCode(33 + at)),
    '\u00b5',
    '\u00b2',
    '\u00d7',
  ]) {
    const shape = textSvg(character, 0, 0, { capPx: 10, colour: '#fff' });
    assert.notEqual(shape, box, character);
    assert.ok(!shapes.has(shape), `${character} looks like ${shapes.get(shape)}`);
    shapes.set(shape, character);
  }
  assert.equal(textSvg('\u00fc', 0, 0, { capPx: 10, colour: '#fff' }), textSvg('u', 0, 0, { capPx: 10, colour: '#fff' }));
});

test('text that is too wide is cut', () => {
  assert.equal(fitText('short', 10, 1000), 'short');
  const cut = fitText('a rather long file name.jpg', 10, 100);
  assert.ok(cut.endsWith('...') && textWidth(cut, 10) <= 100, cut);
});

test('layers beyond the palette have dashes', () => {
  const styles = Array.from({ length: 14 }, (_, at) => JSON.stringify(lineStyle(at + 1)));
  assert.equal(new Set(styles).size, 14);
});

test('an outline goes once around each part and each hole, through the middles of pixel sides', () => {
  assert.deepEqual(traceOutlines(new Uint8Array([1]), 1, 1), [[0.5, 0, 1, 0.5, 0.5, 1, 0, 0.5]]);
  assert.deepEqual(traceOutlines(new Uint8Array(4), 2, 2), []);
  // prettier: a ring of pixels around one hole
  assert.equal(traceOutlines(new Uint8Array([1, 1, 1, 1, 0, 1, 1, 1, 1]), 3, 3).length, 2);
  assert.equal(traceOutlines(new Uint8Array([1, 0, 0, 0, 0, 0, 1, 0, 0]), 3, 3).length, 2);
});

test('outlines of any raster enclose its pixels and nothing else', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }), (bits) => {
      const raster = Uint8Array.from(bits, Number);
      const rings = traceOutlines(raster, 6, 5);
      for (let y = 0; y < 5; y += 1) {
        for (let x = 0; x < 6; x += 1) {
          const crossings = rings.reduce((sum, ring) => sum + crossingsLeftOf(ring, x + 0.5, y + 0.5 + 1e-6), 0);
          assert.equal(crossings % 2, raster[y * 6 + x]);
        }
      }
    }),
    { seed: 1 },
  );
});

test('labels stay inside the picture and off one another', () => {
  const boxes = [
    { x: 0, y: 0, width: 30, height: 30 },
    { x: 170, y: 70, width: 30, height: 30 },
    { x: 60, y: 40, width: 10, height: 10 },
    { x: 74, y: 40, width: 10, height: 10 },
  ];
  const capPx = 10;
  const placed = placeLabels(
    boxes.map((box, index) => ({ text: String(index), box })),
    200,
    100,
    capPx,
  );
  const areas = placed.map(({ text, x, y }) => ({ left: x, right: x + textWidth(text, capPx), top: y - capPx, bottom: y }));
  for (const [index, area] of areas.entries()) {
    assert.ok(area.left >= 0 && area.right <= 200 && area.top >= 0 && area.bottom <= 100);
    for (const other of areas.slice(index + 1)) {
      assert.ok(area.right <= other.left || other.right <= area.left || area.bottom <= other.top || other.bottom <= area.top);
    }
  }
});

/** How often the ring's sides cross the ray from (x, y) to the left. */
function crossingsLeftOf(ring: readonly number[], x: number, y: number): number {
  let crossings = 0;
  for (let at = 0; at < ring.length; at += 2) {
    const [ax = 0, ay = 0] = ring.slice(at, at + 2);
    const [bx = 0, by = 0] = [...ring, ...ring].slice(at + 2, at + 4);
    if (ay > y !== by > y && ax + ((y - ay) / (by - ay)) * (bx - ax) < x) {
      crossings += 1;
    }
  }
  return crossings;
}
