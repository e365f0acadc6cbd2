import assert from 'node:assert/strict';
import { credentials } from '@grpc/grpc-js';
import { createRegistryClient, type RegistryClient } from '../../../clients/registry-client.ts';
import { NO_RETRY } from '../../../clients/retry.ts';
import { RegistryServiceClient } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { isServiceError } from '../../../proto/wire/errors.ts';
import { seededRandom } from '../bundle-models.ts';
import { publish } from '../registry/publish.ts';
import { registryOverGrpc } from '../registry/registry-over-grpc.ts';
import { smallVersion } from '../registry/sample-version.ts';
import { type ServeProcess, startServeProcess } from '../serve-process.ts';

const REGISTRIES = 3;
const PROMOTERS = 8;
const MODEL = 'CLS_race';

/** What became of all tries to move one alias. */
export interface RaceResult {
  readonly won: number;
  readonly lost: number;
}

/**
 * Eight publishers at once, then eight promoters of one alias who each try `rounds` times to move it from where they saw it, on
 * three registry processes of one store. Asserts: version numbers 1 to 8 without gap or repeat; an audit entry for every success
 * and for nothing else; each entry begins where the one before it ended, so no update was lost; and every loser was told the
 * revision that the alias had come to.
 */
export async function racePromotions(env: Readonly<Record<string, string>>, rounds: number, seed: number): Promise<RaceResult> {
  const processes: ServeProcess[] = [];
  const clients: RegistryClient[] = [];
  try {
    for (let index = 0; index < REGISTRIES; index++) {
      const server = await startServeProcess('registry', { ...env, REGISTRY_PORT: '0', LOG_LEVEL: 'error' });
      processes.push(server);
      clients.push(createRegistryClient({ address: server.address, timeoutMs: 120_000 }));
    }
    await publishAtOnce(processes.map(({ address }) => address));
    const random = seededRandom(seed);
    const results = await Promise.all(
      Array.from({ length: PROMOTERS }, (_, index) => {
        const client = clients[index % REGISTRIES];
        assert.ok(client !== undefined);
        return promote(client, `promoter ${index}`, rounds, random);
      }),
    );
    const won = results.flatMap((result) => result.won);
    const lost = results.reduce((sum, result) => sum + result.lost, 0);
    assert.equal(won.length + lost, PROMOTERS * rounds);
    await checkHistory(clients[0], won);
    return { won: won.length, lost };
  } finally {
    for (const client of clients) {
      client.close();
    }
    await Promise.all(processes.map((server) => server.end('SIGTERM')));
  }
}

async function publishAtOnce(addresses: readonly string[]): Promise<void> {
  const stubs = addresses.map((address) => new RegistryServiceClient(address, credentials.createInsecure()));
  const registries = stubs.map(registryOverGrpc);
  const [first] = registries;
  assert.ok(first !== undefined);
  const signal = AbortSignal.timeout(120_000);
  await first.createModel({ name: MODEL, kind: 'classification', description: '', labels: {}, requestId: '' }, signal);
  const published = await Promise.all(
    Array.from({ length: PROMOTERS }, (_, index) =>
      publish(registries[index % REGISTRIES] ?? first, MODEL, smallVersion(`race ${index}`)),
    ),
  );
  for (const stub of stubs) {
    stub.close();
  }
  const numbers = published.map(({ version }) => version.version).toSorted((a, b) => a - b);
  assert.deepEqual(
    numbers,
    Array.from({ length: PROMOTERS }, (_, index) => index + 1),
  );
}

/** Moves the alias to another version than it saw, on the condition that it is still there. */
async function promote(client: RegistryClient, actor: string, rounds: number, random: () => number) {
  const won: { readonly reason: string; readonly revision: number; readonly version: number; readonly from: number }[] = [];
  let lost = 0;
  for (let round = 0; round < rounds; round++) {
    const { aliases } = await client.getModel(MODEL);
    const { revision, version } = aliases[0] ?? { revision: 0, version: 0 };
    const step = 1 + Math.floor((random() + 0.5) * (PROMOTERS - 1));
    const target = 1 + ((Math.max(version - 1, 0) + step) % PROMOTERS);
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
