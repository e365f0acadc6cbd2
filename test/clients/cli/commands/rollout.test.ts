import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { EXIT } from '../../../../clients/cli/exit-codes.ts';
import { ModelKind } from '../../../../proto/gen/maskterial/registry/v1/model.ts';
import { ServableState } from '../../../../proto/gen/maskterial/registry/v1/rollout.ts';
import { ServiceError } from '../../../../proto/wire/errors.ts';
import { FakeRegistry } from '../../../support/fake-registry.ts';
import type { TestServer } from '../../../support/grpc-server.ts';
import { digestOf, makeRollout } from '../../../support/made-rollout.ts';
import { type CommandResult, runCommand } from '../../../support/run-command.ts';

const { SERVABLE_STATE_FAILED: FAILED, SERVABLE_STATE_LOADING: LOADING } = ServableState;
const LOAD_FAILED = new ServiceError('failed-precondition', 'LOAD_FAILED', 'no such operator\u001b[31m');
const AWAY = new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', 'the bucket is away');

let registry: FakeRegistry;
let server: TestServer;

beforeEach(async () => {
  registry = new FakeRegistry();
  server = await registry.start();
  registry.models.set('CLS', {
    name: 'CLS',
    kind: ModelKind.MODEL_KIND_CLASSIFICATION,
    description: '',
    labels: {},
    latestVersion: 0,
    aliases: [],
  });
  for (const version of [1, 2]) {
    registry.addVersion('CLS', version, { manifest: { digest: digestOf(version), sizeBytes: 10n } });
  }
});
afterEach(() => server[Symbol.asyncDispose]());

function run(args: readonly string[], signal?: AbortSignal): Promise<CommandResult> {
  return runCommand(args, { MASKTERIAL_REGISTRY: server.address }, signal);
}

/** The revision that the next promotion will have is 1. */
const promote = (...args: string[]): Promise<CommandResult> => run(['promote', 'CLS:2', '--wait', ...args]);

test('shows aliases with counts, servers, and versions with their errors', async () => {
  registry.rollouts = [
    makeRollout(2, 5, [
      { name: 'a:1', serving: 2 },
      { name: 'b:1', serving: 1, coming: FAILED, error: LOAD_FAILED },
    ]),
  ];
  const { out, code } = await run(['rollout', 'CLS@production']);
  assert.equal(code, EXIT.ok);
  assert.equal(
    out,
    [
      'alias           version  revision  serving  ready   failed',
      'CLS@production  2        5         1 of 2   1 of 2  1',
      '',
      'server  alias       desired  serving',
      'a:1     production  2        2',
      'b:1     production  2        1',
      '',
      'server  version  state   since                 error',
      'a:1     CLS:2    ready   2026-03-04T05:06:07Z',
      'b:1     CLS:1    ready   2026-03-04T05:06:07Z',
      'b:1     CLS:2    failed  2026-03-04T05:06:07Z  no such operator?[31m [LOAD_FAILED]',
      '',
    ].join('\n'),
  );
  assert.deepEqual(registry.rolloutRequests, [{ model: 'CLS', alias: 'production' }]);
});

test('the same as one JSON object', async () => {
  registry.rollouts = [makeRollout(2, 5, [{ name: 'b:1', serving: 0, coming: FAILED, error: LOAD_FAILED }])];
  const json = JSON.parse((await run(['rollout', 'CLS', '--json'])).out);
  const [alias] = json.aliases;
  assert.deepEqual(
    [alias.alias, alias.version, alias.required_servers, alias.serving_servers, alias.failed_servers],
    ['production', 2, 1, 0, 1],
  );
  const [found] = json.servers;
  assert.deepEqual([found.name, found.aliases[0].serving_version], ['b:1', null]);
  assert.deepEqual(
    [found.servables[0].version, found.servables[0].manifest_digest, found.servables[0].state, found.servables[0].error.reason],
    [2, digestOf(2), 'failed', 'LOAD_FAILED'],
  );
  assert.deepEqual(registry.rolloutRequests, [{ model: 'CLS', alias: '' }]);
});

test('says so where nothing is there to show', async () => {
  registry.rollouts = [{ aliases: [], versions: [], servers: [] }];
  assert.equal(
    (await run(['rollout', 'CLS'])).out,
    'CLS has no alias\n\nno inference server that keeps it loaded is known to the registry\n',
  );
  assert.equal((await run(['rollout', 'CLS:1'])).code, EXIT.usage);
});

test('--watch shows each change', async () => {
  const rollout = (serving: number) => makeRollout(2, 5, [{ name: 'a', serving }]);
  registry.rollouts = [rollout(1), rollout(2), rollout(1)];
  registry.fail = (what, count) => {
    if (what === 'watchRollout' && count % 3 === 0) {
      throw new ServiceError('not-found', 'MODEL_NOT_FOUND', 'the end of this test');
    }
  };
  const json = await run(['rollout', 'CLS', '--watch', '--json']);
  assert.equal(json.code, EXIT.failed);
  const serving = json.out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).aliases[0].serving_servers);
  assert.deepEqual(serving, [0, 1]);
  const { out } = await run(['rollout', 'CLS', '--watch']);
  assert.match(out, /0 of 1[^]*\n\n1970-01-01T00:00:00.000Z\nalias[^]*1 of 1/);
});

test('--watch can be interrupted', async () => {
  registry.rollouts = [makeRollout(2, 5, [{ name: 'a', serving: 1 }])];
  const stop = new AbortController();
  registry.fail = () => setImmediate(() => stop.abort());
  assert.equal((await run(['rollout', 'CLS', '--watch'], stop.signal)).code, EXIT.interrupted);
});

test('promote --wait ends once all servers serve it', async () => {
  registry.rollouts = [
    // A replica that has not heard of the promotion yet.
    makeRollout(1, 0, [{ name: 'a', serving: 1 }]),
    makeRollout(2, 1, [
      { name: 'a', serving: 1 },
      { name: 'b', serving: 1, coming: FAILED, error: AWAY },
    ]),
    makeRollout(2, 1, [
      { name: 'a', serving: 2 },
      { name: 'b', serving: 1, coming: LOADING },
    ]),
    makeRollout(2, 1, [
      { name: 'a', serving: 2 },
      { name: 'b', serving: 2 },
    ]),
  ];
  const { code, out, err } = await promote();
  assert.equal(code, EXIT.ok, err);
  assert.equal(out, 'CLS@production -> CLS:2 (new, revision 1)\n2 of 2 servers serve CLS:2\n');
  assert.equal(err, '0 of 2 servers serve CLS:2\n1 of 2 servers serve CLS:2\n');
  registry.rollouts = [makeRollout(2, 2, [{ name: 'a', serving: 2 }])];
  const lines = (await promote('--json')).out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual([lines[0].revision, lines[1].aliases[0].serving_servers], [2, 1]);
});

test('promote --wait says which server refused, why, and what it serves instead', async () => {
  registry.rollouts = [makeRollout(2, 1, [{ name: 'b', serving: 1, coming: FAILED, error: LOAD_FAILED }])];
  const { code, out, err } = await promote();
  assert.equal(code, EXIT.failed);
  assert.match(out, /CLS@production -> CLS:2/, 'the promotion itself happened');
  assert.match(err, /b cannot serve CLS:2, it goes on with CLS:1: no such operator\?\[31m \[LOAD_FAILED\]\n$/);
});

test('promote --wait ends when the alias is moved again', async () => {
  registry.rollouts = [makeRollout(1, 2, [{ name: 'a', serving: 1 }])];
  const { code, err } = await promote();
  assert.equal(code, EXIT.conflict);
  assert.match(err, /moved again, to CLS:1 \(revision 2\) \[REVISION_CONFLICT\]/);
});

test('promote --wait gives up in time', async () => {
  registry.rollouts = [makeRollout(2, 1, [])];
  const { code, err } = await promote('--wait-timeout', '0.05');
  assert.equal(code, EXIT.unavailable);
  assert.match(err, /not in time: .* \[MODEL_NOT_READY\]\n$/);
});

test('promote --wait can be interrupted', async () => {
  registry.rollouts = [makeRollout(2, 1, [{ name: 'a', serving: 1 }])];
  const stop = new AbortController();
  registry.fail = (what) => {
    if (what === 'watchRollout') {
      setImmediate(() => stop.abort());
    }
  };
  assert.equal((await run(['promote', 'CLS:2', '--wait'], stop.signal)).code, EXIT.interrupted);
});

test('promote --wait takes a broken watch up again', async () => {
  registry.rollouts = [makeRollout(2, 1, [{ name: 'a', serving: 2 }])];
  registry.fail = (what, count) => {
    if (what === 'watchRollout' && count === 1) {
      throw new ServiceError('unavailable', 'SHUTTING_DOWN', 'the registry is shutting down');
    }
  };
  assert.equal((await promote()).code, EXIT.ok);
  assert.equal(registry.rolloutRequests.length, 2);
});

test('promote --require-ready is for the registry to check', async () => {
  await run(['promote', 'CLS:2', '--require-ready', '3']);
  await run(['promote', 'CLS:1']);
  assert.deepEqual(
    registry.promotions.map(({ requireReady }) => requireReady),
    [3, 0],
  );
  assert.equal((await run(['promote', 'CLS:1', '--require-ready', '0'])).code, EXIT.usage);
});

test('prefetch says until when a version is held, and waits for as many servers as it should', async () => {
  assert.equal((await run(['prefetch', 'CLS:2'])).out, 'CLS:2 is fetched ahead and held until 2026-03-04T05:06:07Z\n');
  const held = (ready: number) => ({
    ...makeRollout(1, 1, [{ name: 'a', serving: 1 }]),
    versions: [{ version: 2, manifestDigest: digestOf(2), readyServers: ready, loadedServers: 0, failedServers: 0 }],
  });
  registry.rollouts = [makeRollout(1, 1, []), held(1), held(2)];
  const { code, out, err } = await run(['prefetch', 'CLS@latest', '--hold', '60', '--wait', '2']);
  assert.equal(code, EXIT.ok, err);
  assert.equal(out, 'CLS:2 is fetched ahead and held until 2026-03-04T05:06:07Z\nCLS:2 is held ready by 2 or more servers\n');
  assert.equal(err, '0 of 2 servers hold CLS:2 ready\n1 of 2 servers hold CLS:2 ready\n');
  assert.deepEqual(
    registry.prefetches.map(({ version, holdSeconds }) => [version, holdSeconds]),
    [
      [2, 0],
      [2, 60],
    ],
  );
  const lines = (await run(['prefetch', 'CLS:2', '--wait', '2', '--json'])).out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual([lines[0].held_until, lines[1].versions[0].ready_servers], ['2026-03-04T05:06:07.890Z', 2]);
});

test('prefetch --wait says which server cannot hold it, or that it took too long', async () => {
  registry.rollouts = [makeRollout(2, 1, [{ name: 'b', serving: 1, coming: FAILED, error: LOAD_FAILED }])];
  const refused = await run(['prefetch', 'CLS:2', '--wait', '1']);
  assert.equal(refused.code, EXIT.failed);
  assert.match(refused.err, /b cannot hold CLS:2: no such operator.* \[LOAD_FAILED\]\n$/);
  registry.rollouts = [];
  const late = await run(['prefetch', 'CLS:2', '--wait', '1', '--wait-timeout', '0.05']);
  assert.equal(late.code, EXIT.unavailable);
  assert.match(late.err, /not in time: 0 of 1 servers hold CLS:2 ready \[MODEL_NOT_READY\]\n$/);
});
