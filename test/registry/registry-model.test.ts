import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Catalog } from '../../registry/release/catalog.ts';
import { openEmbedded } from '../support/registry/embedded-registry.ts';
import { temporaryFolder } from '../support/registry/temporary-folder.ts';
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

it('finds the shortest sequence for a registry that forgets how to go back further', async () => {
  const forgetful = (catalog: Catalog): Catalog => ({
    ...catalog,
    moveAlias: ({ state, ...event }, ...rest) =>
      catalog.moveAlias({ ...event, state: { ...state, backRevision: state.revision - 1 } }, ...rest),
  });
  const open = async (clock: Parameters<typeof openFolderStore>[0]) => {
    const folder = await temporaryFolder();
    const { registry, ...embedded } = await openEmbedded(folder.path, { clock, wrapCatalog: forgetful });
    return {
      registries: [registry],
      close: async () => {
        embedded[Symbol.dispose]();
        await folder[Symbol.asyncDispose]();
      },
    };
  };
  await assert.rejects(checkRegistry(open, SETTINGS), ({ message }: Error) => {
    assert.equal(message.match(/\d: rollback/g)?.length, 2, message);
    assert.match(message, /seed: 1/);
    return true;
  });
});
