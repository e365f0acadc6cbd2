import type { BlobLocation, S3Location } from '../../proto/gen/maskterial/registry/v1/artifact.ts';
import type { Alias } from '../../proto/gen/maskterial/registry/v1/model.ts';
import type { Prefetch, RegistryServiceClient } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callServerStream, callUnary } from '../../proto/wire/calls.ts';
import type { ByteRange } from '../../proto/wire/chunks.ts';
import { asDigest, type BlobRef, digestOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { parseManifest } from '../../proto/wire/manifest.ts';
import { asAliasName, asModelName, type ModelReference } from '../../proto/wire/names.ts';
import type { BlobSource } from '../cache/blob-source.ts';
import type { DesiredAlias, ModelSource, ResolvedVersion, SourceEvent } from '../rollout/model-source.ts';

/** A watch that is silent for three heartbeats has lost its peer without being told. */
const HEARTBEAT_SECONDS = 5;
const SILENCE_MS = 3 * HEARTBEAT_SECONDS * 1000;
/** A registry that does not answer a resolve in this time is as good as down. */
const RESOLVE_TIMEOUT_MS = 10_000;
/** A registry asks for no more, and timers take no more than three times as much. */
const MAX_HOLD_MS = 7 * 24 * 3_600_000;

export interface RegistrySourceDeps {
  readonly client: RegistryServiceClient;
  /** For messages: `host:port`. */
  readonly address: string;
  /** How a file that the registry names is read. */
  readonly openFile: (path: string) => BlobSource;
  /** How an object of S3 that it names is read. */
  readonly openObject: (object: S3Location) => BlobSource;
}

/** The registry as the source of desired versions and, where no better place is named, of their bytes. */
export class RegistrySource implements ModelSource {
  readonly #deps: RegistrySourceDeps;
  #cursor = '';

  constructor(deps: RegistrySourceDeps) {
    this.#deps = deps;
  }

  async *watch(signal: AbortSignal): AsyncGenerator<SourceEvent> {
    const { client } = this.#deps;
    const silence = createSilenceAlarm(signal);
    let parts: DesiredAlias[] = [];
    try {
      const request = { cursor: this.#cursor, heartbeatSeconds: HEARTBEAT_SECONDS };
      for await (const { cursor, event } of callServerStream(client.watchAliases.bind(client), request, {
        signal: silence.signal,
      })) {
        silence.heard();
        switch (event?.$case) {
          case 'snapshot':
            parts.push(...event.value.aliases.map(toDesired));
            if (!event.value.complete) {
              continue;
            }
            yield { kind: 'snapshot', aliases: parts };
            parts = [];
            break;
          case 'change':
            if (event.value.alias !== undefined) {
              yield { kind: 'change', alias: toDesired(event.value.alias) };
            }
            break;
          case 'prefetch':
            yield toPrefetch(event.value);
            break;
          default:
            yield { kind: 'alive' };
        }
        // Only now: an event that was not taken is delivered again.
        this.#cursor = cursor;
      }
    } finally {
      silence.stop();
    }
  }

  async resolve({ model, selector }: ModelReference, signal: AbortSignal): Promise<ResolvedVersion> {
    const { client } = this.#deps;
    const ref =
      selector.kind === 'version'
        ? ({ $case: 'version', value: selector.version } as const)
        : ({ $case: 'alias', value: selector.kind === 'latest' ? 'latest' : selector.alias } as const);
    const response = await callUnary(
      client.resolveVersion.bind(client),
      { model, ref },
      { signal, timeoutMs: RESOLVE_TIMEOUT_MS },
    );
    const manifestRef = toRef(response.version?.manifest, `${model} manifest`);
    const manifestBytes = response.manifestJson;
    const found = digestOf(manifestBytes);
    if (found !== manifestRef.digest) {
      throw new ServiceError(
        'data-loss',
        'DIGEST_MISMATCH',
        `manifest of ${model}: expected ${manifestRef.digest}, found ${found}`,
      );
    }
    const locations = new Map(response.locations.map(({ digest, locations: places }) => [digest, places]));
    return {
      model,
      version: response.version?.version ?? 0,
      manifestRef,
      manifestBytes,
      manifest: parseManifest(manifestBytes),
      sourcesOf: ({ digest }) => this.#sources(locations.get(digest) ?? []),
    };
  }

  /** In the registry's order of preference. Places of a kind that this server does not know are left out; the registry itself always comes last. */
  #sources(locations: readonly BlobLocation[]): BlobSource[] {
    const elsewhere = locations.flatMap(({ place }) => {
      switch (place?.$case) {
        case 'file':
          return [this.#deps.openFile(place.value.path)];
        case 's3':
          return [this.#deps.openObject(place.value)];
        default:
          return [];
      }
    });
    return [...elsewhere, new RegistryBlobs(this.#deps)];
  }
}

class RegistryBlobs implements BlobSource {
  readonly name: string;
  readonly #client: RegistryServiceClient;

  constructor({ client, address }: RegistrySourceDeps) {
    this.#client = client;
    this.name = `registry ${address}`;
  }

  async *open({ digest, sizeBytes }: BlobRef, range: ByteRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const request = {
      blob: { digest, sizeBytes: BigInt(sizeBytes) },
      offsetBytes: BigInt(range.offsetBytes),
      lengthBytes: BigInt(range.lengthBytes),
    };
    for await (const { data } of callServerStream(this.#client.readBlob.bind(this.#client), request, { signal })) {
      yield data;
    }
  }
}

/** Aborts its signal when nothing was heard for too long, or with the outer signal. */
function createSilenceAlarm(outer: AbortSignal): { readonly signal: AbortSignal; heard(): void; stop(): void } {
  const controller = new AbortController();
  const alarm = (): void =>
    controller.abort(new ServiceError('unavailable', 'REGISTRY_UNAVAILABLE', `the registry was silent for ${SILENCE_MS} ms`));
  const relay = (): void => controller.abort(outer.reason);
  let timer = setTimeout(alarm, SILENCE_MS);
  outer.addEventListener('abort', relay, { once: true });
  return {
    signal: controller.signal,
    heard: () => {
      clearTimeout(timer);
      timer = setTimeout(alarm, SILENCE_MS);
    },
    stop: () => {
      clearTimeout(timer);
      outer.removeEventListener('abort', relay);
    },
  };
}

function toDesired(alias: Alias): DesiredAlias {
  const model = asModelName(alias.model);
  const name = asAliasName(alias.alias);
  if (model === undefined || name === undefined) {
    throw new ServiceError(
      'internal',
      'INTERNAL',
      `the registry sent an alias with an impossible name: ${alias.model}@${alias.alias}`,
    );
  }
  return {
    model,
    alias: name,
    version: alias.version,
    revision: alias.revision,
    manifest: toRef(alias.manifest, `${model}@${name}`),
  };
}

function toPrefetch({ model: name, version, manifest, hold }: Prefetch): SourceEvent {
  const model = asModelName(name);
  if (model === undefined) {
    throw new ServiceError('internal', 'INTERNAL', `the registry asked to prefetch an impossible model: ${name}`);
  }
  const key = { model, version, manifest: toRef(manifest, `${model}:${version}`) };
  return { kind: 'prefetch', key, holdMs: Math.min(MAX_HOLD_MS, Number(hold?.seconds ?? 0n) * 1000) };
}

function toRef(ref: { digest: string; sizeBytes: bigint } | undefined, what: string): BlobRef {
  const digest = asDigest(ref?.digest ?? '');
  if (ref === undefined || digest === undefined) {
    throw new ServiceError('internal', 'INTERNAL', `the registry sent no usable digest for ${what}`);
  }
  return { digest, sizeBytes: Number(ref.sizeBytes) };
}
