import assert from 'node:assert/strict';
import { test } from 'node:test';
import { estimateMemory } from '../../../../clients/import/m2f/memory.ts';
import { parseM2fSettings } from '../../../../clients/import/m2f/settings.ts';
import { configText, TINY } from '../../../support/m2f/random-model.ts';
import type { M2fShape } from '../../../support/m2f/shape.ts';

const PIXELS = 1200 * 1920;
const MIB = 2 ** 20;
const PUBLISHED = { stem: 64, width: 64, outputs: 256, convs: 256, hidden: 256, maskWidth: 256, queries: 100, heads: 8 };

const estimate = (shape: Partial<M2fShape>, weightBytes: number) =>
  estimateMemory(parseM2fSettings(Buffer.from(configText({ ...TINY, ...shape })), 'config.yaml'), weightBytes);

const measured: Record<string, readonly [Partial<M2fShape>, number, number]> = {
  'the smallest model': [{}, 0, 416],
  'the published backbone with a narrow head': [
    { ...PUBLISHED, convs: 64, hidden: 64, maskWidth: 64, queries: 10, feedForward: 256 },
    98_000_000,
    819,
  ],
};

for (const [name, [shape, weightBytes, mib]] of Object.entries(measured)) {
  test(`what ${name} was measured to take is what it is said to take`, () => {
    const { baseBytes, bytesPerPixel } = estimate(shape, weightBytes);
    const said = (baseBytes + bytesPerPixel * PIXELS) / MIB;
    assert.ok(said > 0.97 * mib && said < 1.1 * mib, `${said} MiB said, ${mib} measured`);
  });
}

test('where the head is as wide as in the published models, it decides', () => {
  assert.equal(estimate(PUBLISHED, 0).bytesPerPixel, 446);
});
