import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Registry } from '../../../registry/release/registry.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { collect, createClassifier, never, publish } from '../../support/registry/publish.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { openFolderStore, openMemoryAwsStore } from '../../support/registry-model/stores.ts';

const DAY_SECONDS = 24 * 3600;
const ROUNDS = 8;

for (const [name, open] of [
  ['a folder', openFolderStore],
  ['stand-ins for AWS', openMemoryAwsStore],
] as const) {
  it(`loses nothing under publishers, deletions and collections of two registries at once, on ${name}`, async () => {
    // By this clock everything stored is old, and no publish is.
    const store = await open(new ManualClock(Date.now() + 10 * DAY_SECONDS * 1000));
    const [first, second] = store.registries;
    assert.ok(first !== undefined && second !== undefined);
    for (const model of ['m', 'n', 'o', 'p']) {
      await createClassifier(first, model);
    }
    let isOver = false;
    let removed = 0;
    let passes = 0;
    const collector = async (on: Registry): Promise<void> => {
      while (!isOver) {
        removed += (await on.collectGarbage({ isDryRun: false, graceSeconds: DAY_SECONDS }, never)).blobCount;
        passes++;
        await turn();
      }
    };
    const publisher = async (on: Registry, model: string, seed: string): Promise<void> => {
      for (let round = 0; round < ROUNDS; round++) {
        // The same content each time, so that what was just garbage is needed again; two models have one.
        const { version } = await publish(on, model, smallVersion(seed));
        await assertReadable(on, model, version.version);
        await on.deleteVersion({ model, version: version.version, reason: '', actor: '', requestId: '' }, never);
        // Sometimes at once, and sometimes when whole collections have passed.
        for (const passed = passes + (round % 3) * 2; passes < passed && !isOver; ) {
          await turn();
        }
      }
      await publish(on, model, smallVersion(seed));
    };
    const collecting = [collector(first), collector(second)];
    try {
      await Promise.all([
        publisher(first, 'm', 'a'),
        publisher(second, 'n', 'a'),
        publisher(first, 'o', 'b'),
        publisher(second, 'p', 'c'),
      ]);
    } finally {
      isOver = true;
      await Promise.all(collecting);
    }
    assert.ok(removed > 0, 'nothing was removed');
    for (const model of ['m', 'n', 'o', 'p']) {
      await assertReadable(second, model, (await first.getModel(model, never)).latestVersion);
    }
    await store.close();
  });
}

async function assertReadable(registry: Registry, model: string, version: number): Promise<void> {
  const resolved = await registry.resolveVersion({ model, ref: { kind: 'version', version } }, never);
  for (const blob of [resolved.version.manifest, ...resolved.version.artifacts]) {
    await collect(registry.readBlob({ blob, offsetBytes: 0, lengthBytes: undefined }, never));
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
