import assert from 'node:assert/strict';
import { it } from 'node:test';
import { checkRegistry } from '../support/registry-model/check-registry.ts';
import { openFolderStore, openMemoryAwsStore } from '../support/registry-model/stores.ts';

/** The soak has the full count. */
const SETTINGS = { seed: 1, runs: 20, maxCalls: 100 };

for (const [name, open] of [
  ['a folder', openFolderStore],
  ['stand-ins for AWS', openMemoryAwsStore],
] as const) {
  it(`answers any sequence of calls as the reference does, on ${name}`, async (t) => {
    const { calls, refused, byVerb } = await checkRegistry(open, SETTINGS);
    t.diagnostic(`${calls} calls, ${refused} refused as they should be`);
    // A sequence that is only refused shows nothing.
    assert.deepEqual(
      [...byVerb].filter(([, answered]) => answered === 0),
      [],
    );
  });
}
