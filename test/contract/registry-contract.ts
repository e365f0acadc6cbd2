import { afterEach, beforeEach, describe } from 'node:test';
import type { Registry } from '../../registry/release/registry.ts';
import { describeAliases } from './registry/aliases.ts';
import { describeBadUploads } from './registry/bad-uploads.ts';
import { describeDeletion } from './registry/deletion.ts';
import { describeGarbage } from './registry/garbage.ts';
import { describeModels } from './registry/models.ts';
import { describePrefetch } from './registry/prefetch.ts';
import { describePublishing } from './registry/publishing.ts';
import { describeRollout } from './registry/rollout.ts';
import { describeWatch } from './registry/watch.ts';

export interface RegistryFixture {
  readonly registry: Registry;
  close(): Promise<void>;
}

/** What every registry does, whatever stands between it and the caller. `canSendAnyNumber`: also a negative size reaches it. */
export function describeRegistry(
  name: string,
  open: () => Promise<RegistryFixture>,
  { canSendAnyNumber }: { readonly canSendAnyNumber: boolean },
): void {
  describe(`registry: ${name}`, () => {
    let fixture: RegistryFixture;
    beforeEach(async () => {
      fixture = await open();
    });
    afterEach(() => fixture.close());
    const registry = (): Registry => fixture.registry;

    describeModels(registry);
    describePublishing(registry);
    describeBadUploads(registry, canSendAnyNumber);
    describeAliases(registry);
    describeDeletion(registry);
    describeGarbage(registry, canSendAnyNumber);
    describeWatch(registry);
    describeRollout(registry);
    describePrefetch(registry);
  });
}
