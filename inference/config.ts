import { availableParallelism, homedir, totalmem } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { readAwsEndpoint, readAwsRegion } from '../infra/process/aws-env.ts';
import { type Environment, EnvReader } from '../infra/process/env.ts';
import { type ListenSettings, readListenSettings } from '../infra/process/listen.ts';
import { LOG_LEVELS, type LogLevel } from '../infra/process/log.ts';

export interface InferenceConfig {
  readonly listen: ListenSettings;
  /** `host:port` of the registry. */
  readonly registryAddress: string;
  /** How objects are read that the registry names in S3. */
  readonly s3: { readonly region: string; readonly endpoint: string | undefined };
  /** The folders to try for the cache, in order; only the first one that was set explicitly is tried then. */
  readonly cacheFolders: readonly string[];
  /** Bytes that cached files may take; 0 is no limit. */
  readonly cacheBudgetBytes: number;
  readonly servedModels: readonly string[];
  readonly servedAliases: readonly string[];
  /** Versions kept loaded because requests named them. */
  readonly maxOnDemand: number;
  /** Engine processes, each on one image at a time. */
  readonly engines: number;
  /** ONNX Runtime's threads in each engine. */
  readonly engineThreads: number;
  /** Engine processes of each heavy model, and heavy runs under way at a time. */
  readonly heavyEngines: number;
  readonly heavyEngineThreads: number;
  /** Of the image that a heavy model is warmed up with. */
  readonly heavyWarmUpPixels: number;
  /** How long one may take to load its model and run it once. */
  readonly heavyLoadTimeoutMs: number;
  /** A run of a heavy model that takes longer hangs. */
  readonly heavyRunLimitMs: number;
  /** What the engines of all heavy models may take together at their peaks. */
  readonly heavyMemoryBytes: number;
  /** Where two versions of a heavy model do not fit together, the old one leaves before the new one is loaded. */
  readonly heavyUnloadFirst: boolean;
  /** A heavy engine that holds more is ended; 0 is no limit. */
  readonly heavyMemoryLimitBytes: number;
  /** How long an engine may take to load and warm up all its models. */
  readonly loadTimeoutMs: number;
  /** A run that takes longer hangs, and its engine is ended. */
  readonly engineRunLimitMs: number;
  /** An engine that holds more memory is ended; 0 is no limit. */
  readonly engineMemoryLimitBytes: number;
  /** Images that may wait for an engine, and their bytes. */
  readonly maxWaiting: number;
  readonly maxWaitingBytes: number;
  /** Images of one PredictStream call at once, in work or with results that the caller did not read yet. */
  readonly maxImagesAtOnce: number;
  /** Encoded images that all PredictStream calls hold together before they begin further ones. */
  readonly maxStreamBytes: number;
  readonly maxImageBytes: number;
  readonly maxImagePixels: number;
  /** How long calls in hand may take at shutdown. */
  readonly graceMs: number;
  readonly logLevel: LogLevel;
}

/** The cache folder of the original deployment. */
const DEFAULT_MODEL_PATH = '/opt/maskterial/models';
const MIB = 1024 * 1024;
/**
 * A micrograph of 2.3 million pixels takes a light model a tenth of a second, the largest image allowed by default 22 times that.
 * Twenty times longer still is no load of the machine any more.
 */
const RUN_LIMIT_MS = 60_000;

/** A full-size model takes 9 s on two fast cores and 30 s on two slow ones. Twenty times that is no load of the machine any more. */
const HEAVY_RUN_LIMIT_MS = 600_000;

/**
 * Reads the settings of the inference service:
 *
 * | variable | default | meaning |
 * | --- | --- | --- |
 * | INFERENCE_HOST, INFERENCE_PORT | 127.0.0.1, 50052 | where it listens |
 * | MASKTERIAL_INSECURE | false | allows an address that other machines reach |
 * | REGISTRY_ADDRESS | 127.0.0.1:50051 | the registry |
 * | AWS_REGION, else AWS_DEFAULT_REGION | us-east-1 | where the registry's bucket is, if it has one |
 * | AWS_ENDPOINT_URL_S3 | | another server than AWS's |
 * | MODEL_PATH | /opt/maskterial/models, else a user folder | the cache |
 * | CACHE_BUDGET_BYTES | 0 | size of the cache; 0 is no limit |
 * | SERVED_MODELS | * | names or patterns of models kept loaded |
 * | SERVED_ALIASES | production,canary | aliases kept loaded |
 * | MAX_ON_DEMAND_VERSIONS | 4 | further versions kept because requests named them |
 * | ENGINES | one per core | engine processes |
 * | ENGINE_THREADS | 1 | threads of ONNX Runtime in each |
 * | HEAVY_ENGINES | 1 | engine processes of each heavy model (Mask2Former), and their runs under way at a time |
 * | HEAVY_ENGINE_THREADS | 2, or the cores | threads of ONNX Runtime in each |
 * | HEAVY_WARM_UP_PIXELS | 2304000 | size of the image that a heavy model is warmed up with: the camera's |
 * | HEAVY_LOAD_TIMEOUT_MS | 600000 | for a heavy engine to load its model and run it once |
 * | HEAVY_RUN_LIMIT_MS | 600000 | a longer run of a heavy model hangs, and its engine is ended |
 * | HEAVY_MEMORY_BYTES | the machine's or container's | what all heavy models may take at their peaks: one that does not fit is not loaded, a larger image is refused |
 * | HEAVY_UNLOAD_FIRST | false | where two versions do not fit together, the old one leaves before the new one is loaded |
 * | HEAVY_ENGINE_MEMORY_LIMIT_BYTES | 0 | a heavy engine that holds more is ended (Linux); 0 is no limit |
 * | LOAD_TIMEOUT_MS | 120000 | for an engine to load and warm up all its models |
 * | ENGINE_RUN_LIMIT_MS | 60000 | a longer run hangs, and its engine is ended |
 * | ENGINE_MEMORY_LIMIT_BYTES | 0 | an engine that holds more is ended (Linux); 0 is no limit |
 * | MAX_WAITING_IMAGES | 32 | images that may wait for an engine |
 * | MAX_WAITING_BYTES | 536870912 | size of the encoded images that may wait |
 * | MAX_STREAM_IMAGES | twice ENGINES | images of one stream in work at once |
 * | MAX_STREAM_BYTES | 536870912 | encoded images that all streams hold before they begin more |
 * | MAX_IMAGE_BYTES | 33554432 | size of an encoded image |
 * | MAX_IMAGE_PIXELS | 50000000 | size of a decoded one |
 * | GRACE_MS | 30000 | for calls in hand at shutdown |
 * | LOG_LEVEL | info | |
 *
 * @throws ConfigError with every problem.
 */
export function readInferenceConfig(env: Environment): InferenceConfig {
  const reader = new EnvReader(env);
  const modelPath = reader.text('MODEL_PATH', undefined);
  if (modelPath !== undefined && !isAbsolute(modelPath)) {
    reader.problem(`MODEL_PATH: expected an absolute path, found "${modelPath}"`);
  }
  const userFolder = join(reader.text('XDG_CACHE_HOME', join(homedir(), '.cache')), 'maskterial', 'models');
  const registryAddress = reader.text('REGISTRY_ADDRESS', '127.0.0.1:50051');
  const registryPort = Number(/^.+:(\d{1,5})$/.exec(registryAddress)?.[1] ?? 0);
  if (registryPort < 1 || registryPort > 65_535) {
    reader.problem(`REGISTRY_ADDRESS: expected host:port, found "${registryAddress}"`);
  }
  const engines = reader.integer('ENGINES', availableParallelism(), 1, 256);
  return reader.finish({
    listen: readListenSettings(reader, 'INFERENCE', 50_052),
    registryAddress,
    s3: { region: readAwsRegion(reader), endpoint: readAwsEndpoint(reader, 'S3') },
    cacheFolders: modelPath === undefined ? [DEFAULT_MODEL_PATH, resolve(userFolder)] : [modelPath],
    cacheBudgetBytes: reader.integer('CACHE_BUDGET_BYTES', 0, 0, Number.MAX_SAFE_INTEGER),
    servedModels: reader.list('SERVED_MODELS', ['*']),
    servedAliases: reader.list('SERVED_ALIASES', ['production', 'canary']),
    maxOnDemand: reader.integer('MAX_ON_DEMAND_VERSIONS', 4, 1, 1000),
    engines,
    engineThreads: reader.integer('ENGINE_THREADS', 1, 1, 256),
    heavyEngines: reader.integer('HEAVY_ENGINES', 1, 1, 64),
    // Beyond two, a run gains less than another image beside it would.
    heavyEngineThreads: reader.integer('HEAVY_ENGINE_THREADS', Math.min(2, availableParallelism()), 1, 256),
    heavyWarmUpPixels: reader.integer('HEAVY_WARM_UP_PIXELS', 1200 * 1920, 1, 1_000_000_000),
    // The warm-up takes two runs' time, on cores that light engines may be busy on.
    heavyLoadTimeoutMs: reader.integer('HEAVY_LOAD_TIMEOUT_MS', HEAVY_RUN_LIMIT_MS, 1, 3_600_000),
    heavyRunLimitMs: reader.integer('HEAVY_RUN_LIMIT_MS', HEAVY_RUN_LIMIT_MS, 1, 3_600_000),
    heavyMemoryBytes: reader.integer('HEAVY_MEMORY_BYTES', machineMemoryBytes(), 0, Number.MAX_SAFE_INTEGER),
    heavyUnloadFirst: reader.flag('HEAVY_UNLOAD_FIRST', false),
    heavyMemoryLimitBytes: readMemoryLimit(reader, 'HEAVY_ENGINE_MEMORY_LIMIT_BYTES'),
    // Classifiers take a second or two. A hundred times that is a hang, or a machine that could not serve anyway.
    loadTimeoutMs: reader.integer('LOAD_TIMEOUT_MS', 120_000, 1, 3_600_000),
    engineRunLimitMs: reader.integer('ENGINE_RUN_LIMIT_MS', RUN_LIMIT_MS, 1, 3_600_000),
    engineMemoryLimitBytes: readMemoryLimit(reader, 'ENGINE_MEMORY_LIMIT_BYTES'),
    maxWaiting: reader.integer('MAX_WAITING_IMAGES', 32, 0, 10_000),
    maxWaitingBytes: reader.integer('MAX_WAITING_BYTES', 512 * MIB, 0, Number.MAX_SAFE_INTEGER),
    // Twice: an engine that gets free finds the next image there.
    maxImagesAtOnce: reader.integer('MAX_STREAM_IMAGES', 2 * engines, 1, 1000),
    maxStreamBytes: reader.integer('MAX_STREAM_BYTES', 512 * MIB, 1, Number.MAX_SAFE_INTEGER),
    maxImageBytes: reader.integer('MAX_IMAGE_BYTES', 32 * MIB, 1, 64 * MIB),
    maxImagePixels: reader.integer('MAX_IMAGE_PIXELS', 50_000_000, 1, 1_000_000_000),
    graceMs: reader.integer('GRACE_MS', 30_000, 0, 3_600_000),
    logLevel: reader.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
  });
}

/** Without one the kernel's own killer takes an engine before the server, where the machine or the container runs out. */
function readMemoryLimit(reader: EnvReader, name: string): number {
  const limit = reader.integer(name, 0, 0, Number.MAX_SAFE_INTEGER);
  if (limit > 0 && process.platform !== 'linux') {
    reader.problem(`${name}: an engine can be measured on Linux only`);
  }
  return limit;
}

/** The container's limit where there is one: the kernel does not let a process see less. */
function machineMemoryBytes(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
