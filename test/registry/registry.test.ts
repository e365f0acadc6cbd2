import { describeRegistry } from '../contract/registry-contract.ts';
import { openEmbedded } from '../support/registry/embedded-registry.ts';
import { temporaryFolder } from '../support/registry/temporary-folder.ts';

describeRegistry(
  'in this process',
  async () => {
    const folder = await temporaryFolder();
    const embedded = await openEmbedded(folder.path);
    return {
      registry: embedded.registry,
      close: async () => {
        embedded[Symbol.dispose]();
        await folder[Symbol.asyncDispose]();
      },
    };
  },
  { canSendAnyNumber: true },
);
