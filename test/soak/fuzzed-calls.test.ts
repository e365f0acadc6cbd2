import assert from 'node:assert/strict';
import { credentials, status } from '@grpc/grpc-js';
import { RegistryServiceClient } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callUnary } from '../../proto/wire/calls.ts';
import { encodeManifest, parseManifest } from '../../proto/wire/manifest.ts';
import { asModelName } from '../../proto/wire/names.ts';
import { makePicture } from '../support/made-up.ts';
import { RawGrpc, type RawOutcome } from '../support/raw-grpc.ts';
import { chunkedBlob } from '../support/registry/sample-version.ts';
import { FUZZ_MODEL, FuzzBench } from '../support/soak/fuzz-bench.ts';
import { fuzzCall } from '../support/soak/fuzz-calls.ts';
import { inHalves } from '../support/soak/halves.ts';
import { assertListed } from '../support/soak/listed-errors.ts';
import { sendRaw, socketGarbage } from '../support/soak/raw-socket.ts';
import { soakTest } from '../support/soak/soak.ts';
import { Tally } from '../support/soak/tally.ts';
import { type FuzzMethod, fuzzMethods } from '../support/soak/valid-requests.ts';

const CALLS = 4_000;
const SOCKETS = 1_000;

soakTest(
  import.meta.url,
  'calls and bytes that nobody should send: each is answered with a listed error, and both services stay as they are',
  async (run) => {
    await using bench = await FuzzBench.start();
    const methods = await methodsOf(bench);
    using registry = new RawGrpc(bench.registry.address);
    using inference = new RawGrpc(bench.inference.address);
    const clients = { registry, inference };
    const tally = new Tally();

    const call = async (input: number): Promise<void> => {
      const { method, call: made, isBadHttp } = fuzzCall(methods, run.random(`call ${input}`));
      const outcome = await clients[method.service].call(made);
      tally.count(checked(outcome, isBadHttp, `input ${input}, ${made.path}`));
    };
    const socket = async (input: number): Promise<void> => {
      const random = run.random(`socket ${input}`);
      const { address } = random.pick([bench.registry, bench.inference]);
      tally.count(`socket ${await sendRaw(address, socketGarbage(random))}`);
    };
    const inputs = [
      ...run.inputs(CALLS).map((input) => () => call(input)),
      ...run.inputs(SOCKETS).map((input) => () => socket(input)),
    ];
    await inHalves(bench, inputs, run.say);
    await bench.assertClean();
    run.say(`${inputs.length} inputs: ${tally.summary()}`);
  },
);

/** A word for the tally. @throws where the answer is none that the contract knows. */
function checked(outcome: RawOutcome, isBadHttp: boolean, what: string): string {
  switch (outcome.kind) {
    case 'silent':
      return assert.fail(`${what}: no answer`);
    case 'status':
      if (outcome.code === status.OK) {
        return 'OK';
      }
      // HTTP/2 and gRPC themselves answer for methods that there are not.
      if (outcome.code === status.UNIMPLEMENTED && outcome.error === undefined) {
        return 'no such method';
      }
      assertListed(outcome.error, `${what}: ${status[outcome.code]} ${outcome.message}`);
      return outcome.error.reason;
    case 'http':
    case 'reset':
      assert.ok(isBadHttp, `${what}: ${JSON.stringify(outcome)}`);
      return `${outcome.kind} ${outcome.kind === 'http' ? outcome.status : outcome.code}`;
    case 'left':
      return 'left';
  }
}

async function methodsOf({ registryClient, registry, version }: FuzzBench): Promise<FuzzMethod[]> {
  const name = asModelName(FUZZ_MODEL);
  assert.ok(name !== undefined);
  const { manifestJson } = await registryClient.resolve({ model: name, selector: { kind: 'latest' } });
  const lacking = Buffer.alloc(3000, 'a blob that nobody has sent yet');
  const parsed = parseManifest(manifestJson);
  const blob = chunkedBlob(lacking);
  const artifact = { path: 'lacking', role: 'source' as const, mediaType: 'text/plain', ...blob, chunks: [...blob.chunks] };
  const staged = encodeManifest({ ...parsed, artifacts: [...parsed.artifacts, artifact] });
  const stub = new RegistryServiceClient(registry.address, credentials.createInsecure());
  const request = { model: FUZZ_MODEL, manifestJson: staged, labels: {}, requestId: '' };
  const { stagingId } = await callUnary(stub.stageVersion.bind(stub), request);
  stub.close();
  return fuzzMethods({ version, manifestJson, stagingId, lacking, image: await makePicture([], { width: 64, height: 48 }) });
}
