import assert from 'node:assert/strict';
import { credentials } from '@grpc/grpc-js';
import { createRegistryClient, type RegistryClient } from '../../../clients/registry-client.ts';
import { NO_RETRY } from '../../../clients/retry.ts';
import { RegistryServiceClient } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { isServiceError } from '../../../proto/wire/errors.ts';
import { deferred } from '../deferred.ts';
import { HANG_MS } from '../hang-limit.ts';
import { type ServeProcess, startServeProcess } from '../serve-process.ts';
import type { SeededRandom } from '../soak/seeded-random.ts';
import { never, stage, upload } from './publish.ts';
import { registryOverGrpc } from './registry-over-grpc.ts';
import { smallVersion } from './sample-version.ts';

const REGISTRIES = 3;
const PUBLISHERS = 8;
const PROMOTERS = 8;
const MODEL = 'CLS_race';

export interface RaceSettings {
  /** How often eight publishers finalize a version each at once. */
  readonly publishRounds: number;
  /** How often each of eight promoters tries to move the alias. */
  readonly promoteRounds: number;
}

/** What became of all tries to move one alias. */
export interface RaceResult {
  readonly versions: number;
  readonly won: number;
  readonly lost: number;
}

/**
 * Eight publishers who finalize a version of one model each at once, again and again; then eight promoters of one alias who each
 * try to move it from where they saw it; on three registry processes of one store. Asserts: version numbers 1 to n without gap or
 * repeat; an audit entry for every success and for nothing else; each entry begins where the one before it ended, so no update was
 * lost; and every loser was told the revision that the alias had come to.
 */
export async function racePromotions(
  env: Readonly<Record<string, string>>,
  { publishRounds, promoteRounds }: RaceSettings,
  random: SeededRandom,
): Promise<RaceResult> {
  const processes: ServeProcess[] = [];
  const clients: RegistryClient[] = [];
  try {
    for (let index = 0; index < REGISTRIES; index++) {
      const server = await startServeProcess('registry', { ...env, REGISTRY_PORT: '0', LOG_LEVEL: 'error' });
      processes.push(server);
      clients.push(createRegistryClient({ address: server.address, timeoutMs: HANG_MS }));
    }
    const versions = await finalizeAtOnce(
      processes.map(({ address }) => address),
      publishRounds,
    );
    let reading = PROMOTERS;
    const allHaveRead = deferred();
    // Nobody moves the alias before all have seen where it is: however they are scheduled, one wins then and all others lose.
    const hasRead = (): Promise<void> => {
      reading -= 1;
      if (reading === 0) {
        allHaveRead.resolve();
      }
      return allHaveRead.promise;
    };
    const results = await Promise.all(
      Array.from({ length: PROMOTERS }, (_, index) => {
        const client = clients[index % REGISTRIES];
        assert.ok(client !== undefined);
        return promote(client, `promoter ${index}`, promoteRounds, random, hasRead);
      }),
    );
    const won = results.flatMap((result) => result.won);
    const lost = results.reduce((sum, result) => sum + result.lost, 0);
    assert.equal(won.length + lost, PROMOTERS * promoteRounds);
    await checkHistory(clients[0], won);
    return { versions, won: won.length, lost };
  } finally {
    for (const client of clients) {
      client.close();
    }
    await Promise.all(processes.map((server) => server.end('SIGTERM')));
  }
}

/** Gives the number of versions. */
async function finalizeAtOnce(addresses: readonly string[], rounds: number): Promise<number> {
  const stubs = addresses.map((address) => new RegistryServiceClient(address, credentials.createInsecure()));
  const registries = stubs.map(registryOverGrpc);
  const [first] = registries;
  assert.ok(first !== undefined);
  await first.createModel({ name: MODEL, kind: 'classification', description: '', labels: {}, requestId: '' }, never);
  const numbers: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const stagings = await Promise.all(
      Array.from({ length: PUBLISHERS }, async (_, index) => {
        const registry = registries[index % REGISTRIES] ?? first;
        const version = smallVersion(`race ${round} ${index}`);
        const stagingId = await stage(registry, MODEL, version);
        for (const bytes of version.files) {
          await upload(registry, stagingId, bytes);
        }
        // Through another registry than the one that took the bytes.
        return { registry: registries[(index + 1) % REGISTRIES] ?? first, stagingId };
      }),
    );
    const finalized = await Promise.all(
      stagings.map(({ registry, stagingId }) => registry.finalizeVersion({ stagingId, requestId: '' }, never)),
    );
    numbers.push(...finalized.map(({ version }) => version.version));
  }
  for (const stub of stubs) {
    stub.close();
  }
  assert.deepEqual(
    numbers.toSorted((a, b) => a - b),
    Array.from({ length: PUBLISHERS * rounds }, (_, index) => index + 1),
  );
  return numbers.length;
}

/** Moves the alias to another version than it saw, on the condition that it is still there. */
async function promote(
  client: RegistryClient,
  actor: string,
  rounds: number,
  random: SeededRandom,
  hasRead: () => Promise<void>,
) {
  const won: { readonly reason: string; readonly revision: number; readonly version: number; readonly from: number }[] = [];
  let lost = 0;
  for (let round = 0; round < rounds; round++) {
    const { aliases } = await client.getModel(MODEL);
    const { revision, version } = aliases[0] ?? { revision: 0, version: 0 };
    if (round === 0) {
      await hasRead();
    }
    const step = random.between(1, PUBLISHERS - 1);
    const target = 1 + ((Math.max(version - 1, 0) + step) % PUBLISHERS);
    const reason = `${actor}, round ${round}`;
    try {
      const options = { expectedRevision: revision, actor, reason, retry: NO_RETRY };
      const { alias, previousVersion } = await client.promote(MODEL, target, 'production', options);
      assert.equal(alias.revision, revision + 1);
      won.push({ reason, revision: alias.revision, version: target, from: previousVersion });
    } catch (error) {
      assert.ok(isServiceError(error, 'aborted') && error.reason === 'REVISION_CONFLICT', String(error));
      assert.ok(Number(error.metadata['current_revision']) > revision, `${error.metadata['current_revision']} after ${revision}`);
      lost++;
    }
  }
  return { won, lost };
}

async function checkHistory(
  client: RegistryClient | undefined,
  won: readonly { readonly reason: string; readonly revision: number; readonly version: number; readonly from: number }[],
): Promise<void> {
  const entries = [];
  for await (const { reason, revision, toVersion, fromVersion } of client?.history(MODEL, 'production') ?? []) {
    entries.unshift({ reason, revision, version: toVersion, from: fromVersion });
  }
  assert.deepEqual(
    entries,
    won.toSorted((a, b) => a.revision - b.revision),
  );
  for (const [index, entry] of entries.entries()) {
    assert.deepEqual([entry.revision, entry.from], [index + 1, entries[index - 1]?.version ?? 0]);
  }
}
