import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeptMemory } from '../../../inference/engine/kept-memory.ts';
import { deferred } from '../../support/deferred.ts';

/** Two seats of engines that are counted for 10 bytes each; an image takes as many bytes as it is wide. */
function bench() {
  const exits = [deferred(), deferred()];
  const engines = exits.map((exit) => ({
    isEnding: false,
    exited: exit.promise,
    renew() {
      this.isEnding = true;
    },
  }));
  const share = { bytes: 100 };
  const told: number[] = [];
  const kept: KeptMemory<(typeof engines)[number]> = new KeptMemory(
    {
      peakBytes: 10,
      shareBytes: () => share.bytes,
      allowedBytes: () => share.bytes,
      takenBytes: ({ width }) => width,
    },
    engines.map((engine) => ({ engine })),
    () => told.push(kept.heldBytes),
  );
  const [engine = assert.fail()] = engines;
  return { kept, engine, exits, share, told };
}

for (const how of ['renewed', 'killed in its run'] as const) {
  test(`an engine that is ${how} counts for what it held until it is gone, and is waited for`, async () => {
    const { kept, engine, exits, share, told } = bench();
    kept.begins(engine);
    kept.decoded(engine, { width: 80, height: 1 });
    if (how === 'renewed') {
      kept.ended(engine);
      assert.deepEqual([kept.heldBytes, kept.isAwaited], [90, false]);
      share.bytes = 50;
      kept.renewLarge();
    } else {
      kept.giveUp();
      assert.deepEqual([kept.heldBytes, kept.leastBytes, kept.isAwaited], [90, 90, false]);
      engine.isEnding = true;
    }
    assert.deepEqual([engine.isEnding, kept.heldBytes, kept.leastBytes, kept.isAwaited], [true, 90, 20, true]);
    told.length = 0;
    exits[0]?.resolve();
    await engine.exited;
    assert.deepEqual([told, kept.heldBytes, kept.isAwaited], [[20], 20, false]);
  });
}
