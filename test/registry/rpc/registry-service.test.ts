import { describeRegistry } from '../../contract/registry-contract.ts';
import { startRegistryServer } from '../../support/registry/registry-server.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';

describeRegistry(
  'over gRPC',
  async () => {
    const folder = await temporaryFolder();
    const server = await startRegistryServer(folder.path);
    return {
      registry: server.registry,
      close: async () => {
        await server[Symbol.asyncDispose]();
        await folder[Symbol.asyncDispose]();
      },
    };
  },
  { canSendAnyNumber: false },
);
