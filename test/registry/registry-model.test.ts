import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Catalog } from '../../registry/release/catalog.ts';
import type { ManualClock } from '../support/registry/manual-clock.ts';
import { badRequest } from '../support/registry-model/bad-requests.ts';
import { checkRegistry } from '../support/registry-model/check-registry.ts';
import { openFolderStore, openMemoryAwsStore } from '../support/registry-model/stores.ts';

/** The soak has the full count. */
const SETTINGS = { seed: 1, runs: 10, maxCalls: 100 };

for (const [name, open] of [
  ['a folder', openFolderStore],
  ['stand-ins for AWS', openMemoryAwsStore],
] as const) {
  it(`answers any sequence of calls as the reference does, on ${name}`, async (t) => {
    const { calls, refused, byVerb, refusals, neverCalled } = await checkRegistry(open, SETTINGS);
    t.diagnostic(`${calls} calls, ${refused} refused as they should be`);
    t.diagnostic(
      [...refusals]
        .map(([reason, count]) => `${reason} ${count}`)
        .toSorted()
        .join(', '),
    );
    assert.deepEqual(neverCalled, []);
    // A sequence that is only refused shows nothing.
    assert.deepEqual(
      [...byVerb].filter(([verb, answered]) => answered === 0 && verb !== badRequest.name),
      [],
    );
  });
}

it('finds the shortest sequence for a registry that forgets how to go back further', async () => {
  const forgetful = (catalog: Catalog): Catalog => ({
    ...catalog,
    moveAlias: ({ state, ...event }, ...rest) =>
      catalog.moveAlias({ ...event, state: { ...state, backRevision: state.revision - 1 } }, ...rest),
  });
  const open = (clock: ManualClock) => openFolderStore(clock, forgetful);
  // Ends with the first sequence that shows it.
  await assert.rejects(checkRegistry(open, { ...SETTINGS, runs: 400, maxCalls: 50 }), ({ message }: Error) => {
    assert.equal(message.match(/\d: rollback/g)?.length, 2, message);
    assert.match(message, /seed: 1/);
    return true;
  });
});
