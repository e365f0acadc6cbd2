import {
  InferenceServiceService,
  type PredictOptions,
  type PredictStreamRequest,
  Priority,
} from '../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { ModelKind, type Version } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import {
  RegistryServiceService,
  type ReportServablesRequest,
} from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { ServableState } from '../../../proto/gen/maskterial/registry/v1/rollout.ts';
import { messagesOf } from '../../../proto/wire/chunks.ts';
import { digestOf } from '../../../proto/wire/digest.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { toRpcStatus } from '../../../proto/wire/status.ts';
import { hostileText } from './hostile-text.ts';
import type { SeededRandom } from './seeded-random.ts';

/** A method, and requests that it takes. */
export interface FuzzMethod {
  readonly service: 'registry' | 'inference';
  readonly path: string;
  readonly isRequestStream: boolean;
  /** Its answer has no end of its own. */
  readonly isEndless: boolean;
  /** The encoded messages of one call; with `isOdd` some of their fields hold what nobody would send. */
  readonly messages: (random: SeededRandom, isOdd: boolean) => Buffer[];
}

export interface RequestValues {
  readonly version: Version;
  readonly manifestJson: Buffer;
  /** A staging, and a blob that it lacks. */
  readonly stagingId: string;
  readonly lacking: Buffer;
  readonly image: Buffer;
}

interface MethodDefinition<Q> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly requestSerialize: (request: Q) => Buffer;
}

/** All methods of both services. @throws when one is missing here. */
export function fuzzMethods({ version: published, manifestJson, stagingId, lacking, image }: RequestValues): FuzzMethod[] {
  const { model, version, artifacts } = published;
  const registry = RegistryServiceService;
  const inference = InferenceServiceService;
  const blob = artifacts[0]?.blob;
  const labels = { material: 'graphene' };
  const move = {
    model,
    version,
    alias: 'canary',
    expectedRevision: undefined,
    reason: 'a test',
    actor: 'somebody',
    requestId: '',
  };
  const page = { pageSize: 10, pageToken: '' };
  const pipeline = { segmentationModel: '', classificationModel: model, postprocessingModel: '' };
  const thresholds = { scoreThreshold: 0.3, minClassOccupancy: 0.5, sizeThreshold: 200 };
  const options: PredictOptions = {
    pipeline,
    thresholds,
    umPerPx: 0.1,
    includeReference: true,
    priority: Priority.PRIORITY_HIGH,
  };
  const created = (random: SeededRandom) => ({
    name: `fuzzed-${random.below(50)}`,
    kind: ModelKind.MODEL_KIND_CLASSIFICATION,
    description: 'a test',
    labels,
    requestId: '',
  });
  const methods = [
    entry('registry', registry.createModel, (random) => [created(random)]),
    entry('registry', registry.getModel, () => [{ name: model }]),
    entry('registry', registry.listModels, () => [{ ...page, labels }]),
    entry('registry', registry.getVersion, () => [{ model, version }]),
    entry('registry', registry.listVersions, () => [{ model, ...page, labels: {} }]),
    entry('registry', registry.stageVersion, () => [{ model, manifestJson, labels, requestId: '' }]),
    entry('registry', registry.getStaging, () => [{ stagingId }]),
    entry('registry', registry.uploadBlob, (random) => [
      { part: { $case: 'header' as const, value: { stagingId, blob: refOf64(lacking), firstChunk: 0 } } },
      ...[...messagesOf(lacking, random.between(50, 5000))].map((value) => ({ part: { $case: 'data' as const, value } })),
    ]),
    entry('registry', registry.finalizeVersion, () => [{ stagingId, requestId: '' }]),
    entry('registry', registry.resolveVersion, (random) => [
      {
        model,
        ref: random.pick([
          { $case: 'version' as const, value: version },
          { $case: 'alias' as const, value: 'production' },
        ]),
      },
    ]),
    entry('registry', registry.readBlob, () => [{ blob, offsetBytes: 10n, lengthBytes: 100n }]),
    entry('registry', registry.promoteVersion, () => [{ ...move, requireReady: 0 }]),
    entry('registry', registry.rollbackAlias, () => [move]),
    entry('registry', registry.listAliasEvents, (random) => [
      random.pick([
        { model, alias: '', at: undefined, ...page },
        { model, alias: 'production', at: new Date(), ...page },
      ]),
    ]),
    { ...entry('registry', registry.watchAliases, () => [{ cursor: '', heartbeatSeconds: 1 }]), isEndless: true },
    entry('registry', registry.prefetchVersion, () => [{ model, version, holdSeconds: 60 }]),
    entry('registry', registry.deprecateVersion, () => [{ model, version, reason: 'old' }]),
    entry('registry', registry.undeprecateVersion, () => [{ model, version }]),
    // One that is not there: what the other requests name stays.
    entry('registry', registry.deleteVersion, () => [{ model, version: version + 1000, reason: '', actor: '', requestId: '' }]),
    entry('registry', registry.collectGarbage, () => [{ dryRun: true, graceSeconds: undefined }]),
    entry('registry', registry.reportServables, (random) => [reportOf(published, random.below(20))]),
    entry('registry', registry.getRollout, () => [{ model, alias: '' }]),
    { ...entry('registry', registry.watchRollout, () => [{ model, alias: '', heartbeatSeconds: 1 }]), isEndless: true },
    entry('inference', inference.predict, () => [{ image, options }]),
    entry('inference', inference.predictStream, (random) => streamOf(random, image, options)),
    entry('inference', inference.getStatus, () => [{}]),
  ];
  const known = new Set(methods.map(({ path }) => path));
  const missing = [...Object.values(registry), ...Object.values(inference)].filter(({ path }) => !known.has(path));
  if (missing.length > 0) {
    throw new Error(`nothing is sent to ${missing.map(({ path }) => path).join(', ')}`);
  }
  return methods;
}

function reportOf({ model, version, manifest }: Version, server: number): ReportServablesRequest {
  const since = new Date(1000);
  const manifestDigest = manifest?.digest ?? '';
  const state = ServableState.SERVABLE_STATE_FAILED;
  const error = toRpcStatus(new ServiceError('failed-precondition', 'LOAD_FAILED', 'a test', { metadata: { file: 'x' } }));
  return {
    server: {
      id: `fuzzed-server-${server}`,
      name: 'a test',
      serverVersion: '0',
      servedModels: ['*'],
      servedAliases: ['production'],
    },
    sequence: 1n,
    servables: [{ model, version, manifestDigest, state, error, since }],
    aliases: [
      {
        model,
        alias: 'production',
        desiredVersion: version,
        desiredRevision: 1,
        servingVersion: version,
        servingManifestDigest: manifestDigest,
      },
    ],
    stopping: false,
  };
}

function streamOf(random: SeededRandom, image: Buffer, options: PredictOptions): PredictStreamRequest[] {
  const imageId = `image ${random.below(3)}`;
  return [
    { request: { $case: 'begin', value: { imageId, options } } },
    ...[...messagesOf(image, random.between(20, 2000))].map(
      (value): PredictStreamRequest => ({ request: { $case: 'chunk', value } }),
    ),
    { request: { $case: 'end', value: {} } },
    ...(random.isChance(0.2) ? [{ request: { $case: 'cancel' as const, value: { imageId } } }] : []),
  ];
}

function refOf64(bytes: Uint8Array): { digest: string; sizeBytes: bigint } {
  return { digest: digestOf(bytes), sizeBytes: BigInt(bytes.byteLength) };
}

function entry<Q>(
  service: FuzzMethod['service'],
  { path, requestStream, requestSerialize }: MethodDefinition<Q>,
  requests: (random: SeededRandom) => Q[],
): FuzzMethod {
  return {
    service,
    path,
    isRequestStream: requestStream,
    isEndless: false,
    messages: (random, isOdd) =>
      requests(random).map((request) => requestSerialize(isOdd ? (withOddFields(request, random) as Q) : request)),
  };
}

const ODD_NUMBERS = [0, 1, 2, 1000, 1001, 3600, 3601, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const ODD_DOUBLES = [Number.NaN, Number.POSITIVE_INFINITY, -1, 1e308, 5e-324];
const ODD_BIGINTS = [0n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
const CHANGED = 0.4;
/** Before 1970, in the year 10000 and the last that there is. */
const ODD_DATES = [-1, 0, 253_402_300_800_000, 8.64e15];
/** Enumerations and int32: numbers with a sign, on the wire and in the encoder. */
const ENUMS: ReadonlySet<string> = new Set(['kind', 'priority', 'state', 'code']);
const ODD_ENUMS = [0, 1, 2, 99, 2 ** 31 - 1, -1];

/** A copy in which fields hold, each with a chance, another value of their type. */
function withOddFields(value: unknown, random: SeededRandom): unknown {
  if (Array.isArray(value)) {
    return value.map((element) => withOddFields(element, random));
  }
  if (Buffer.isBuffer(value)) {
    return random.isChance(CHANGED) ? random.bytes(random.between(0, 200)) : value;
  }
  if (value instanceof Date) {
    return random.isChance(CHANGED) ? new Date(random.pick(ODD_DATES)) : value;
  }
  if (typeof value === 'object' && value !== null) {
    const copy: Record<string, unknown> = {};
    for (const [key, field] of Object.entries(value)) {
      copy[key] = key === '$case' ? field : ENUMS.has(key) ? random.pick(ODD_ENUMS) : withOddFields(field, random);
    }
    return copy;
  }
  if (!random.isChance(CHANGED)) {
    return value;
  }
  switch (typeof value) {
    case 'string':
      return hostileText(random);
    case 'number':
      return Number.isInteger(value) ? random.pick(ODD_NUMBERS) : random.pick(ODD_DOUBLES);
    case 'bigint':
      return random.pick(ODD_BIGINTS);
    default:
      return value;
  }
}
