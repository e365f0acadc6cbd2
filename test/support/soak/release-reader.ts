import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import type { RegistryClient } from '../../../clients/registry-client.ts';
import { NO_RETRY } from '../../../clients/retry.ts';
import type { Alias, Version } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import type { RegistryServiceClient, WatchAliasesResponse } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callServerStream } from '../../../proto/wire/calls.ts';
import { digestOf, Hasher } from '../../../proto/wire/digest.ts';
import { isServiceError } from '../../../proto/wire/errors.ts';
import { parseManifest } from '../../../proto/wire/manifest.ts';
import { asModelName } from '../../../proto/wire/names.ts';

interface ReaderDeps {
  readonly client: RegistryClient;
  readonly stub: RegistryServiceClient;
  readonly model: string;
}

const PAUSE_MS = 20;

/**
 * Reads a registry all the time as its users do: lists, gets, resolves, watches, and hashes every byte of each version as soon as
 * it shows. Whatever it sees must be whole. A registry that is down is no failure; anything else is, and `caughtUp` throws it.
 */
export class ReleaseReader {
  readonly #deps: ReaderDeps;
  readonly #over = new AbortController();
  readonly #verified = new Map<number, string>();
  readonly #loops: Promise<unknown>;
  #failure: { readonly error: unknown } | undefined;
  #looks = 0;
  #watched = 0;

  constructor(deps: ReaderDeps) {
    this.#deps = deps;
    this.#loops = Promise.all([
      this.#goOn(() => this.#look()),
      this.#goOn(async () => {
        // Its own end is the registry's: a watch never ends by itself.
        for await (const { event } of deps.client.watch({ signal: this.#over.signal, retry: NO_RETRY, heartbeatSeconds: 1 })) {
          await this.#checkWatched(event);
        }
      }),
    ]);
  }

  /** What it saw, for the record. */
  get seen(): { readonly looks: number; readonly versions: number; readonly watched: number } {
    return { looks: this.#looks, versions: this.#verified.size, watched: this.#watched };
  }

  /** Waits for a whole look that begins now. @throws what was wrong at any time before. */
  async caughtUp(): Promise<void> {
    const enough = this.#looks + 2;
    while (this.#looks < enough) {
      this.throwIfFailed();
      await setTimeout(PAUSE_MS);
    }
    this.throwIfFailed();
  }

  throwIfFailed(): void {
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await this.#loops;
  }

  async #goOn(step: () => Promise<void>): Promise<void> {
    while (!this.#over.signal.aborted && this.#failure === undefined) {
      try {
        await step();
      } catch (error) {
        if (!this.#over.signal.aborted && !isServiceError(error, 'unavailable')) {
          this.#failure = { error };
        }
      }
      await setTimeout(PAUSE_MS);
    }
  }

  async #look(): Promise<void> {
    const { client, model } = this.#deps;
    const options = { signal: this.#over.signal, retry: NO_RETRY };
    const versions: Version[] = [];
    try {
      for await (const version of client.listVersions(model, options)) {
        versions.push(version);
      }
    } catch (error) {
      if (!isServiceError(error, 'not-found')) {
        throw error;
      }
    }
    assert.deepEqual(
      versions.map(({ version }) => version),
      versions.map((_, index) => versions.length - index),
      'versions are numbered without gaps, newest first',
    );
    for (const version of versions) {
      await this.#check(version);
    }
    this.#looks += 1;
  }

  async #check(version: Version): Promise<void> {
    const { client, model } = this.#deps;
    const digest = version.manifest?.digest ?? '';
    const known = this.#verified.get(version.version);
    if (known !== undefined) {
      assert.equal(digest, known, `version ${version.version} is immutable`);
      return;
    }
    const options = { signal: this.#over.signal, retry: NO_RETRY };
    assert.deepEqual(await client.getVersion(model, version.version, options), version);
    const name = asModelName(model);
    assert.ok(name !== undefined);
    const reference = { model: name, selector: { kind: 'version', version: version.version } } as const;
    const { manifestJson } = await client.resolve(reference, options);
    assert.equal(digestOf(manifestJson), digest);
    const { artifacts } = parseManifest(manifestJson);
    assert.deepEqual(
      version.artifacts.map(({ path, blob }) => [path, blob?.digest]),
      artifacts.map((artifact) => [artifact.path, artifact.digest]),
    );
    for (const { digest: wanted, sizeBytes } of artifacts) {
      assert.deepEqual(await this.#hashed(wanted, sizeBytes), { digest: wanted, sizeBytes });
    }
    this.#verified.set(version.version, digest);
  }

  async #hashed(digest: string, sizeBytes: number): Promise<unknown> {
    const { stub } = this.#deps;
    const hasher = new Hasher();
    const request = { blob: { digest, sizeBytes: BigInt(sizeBytes) }, offsetBytes: 0n, lengthBytes: undefined };
    for await (const { data } of callServerStream(stub.readBlob.bind(stub), request, { signal: this.#over.signal })) {
      hasher.update(data);
    }
    return hasher.finish();
  }

  async #checkWatched(event: WatchAliasesResponse['event']): Promise<void> {
    const aliases: Alias[] =
      event?.$case === 'snapshot'
        ? event.value.aliases
        : event?.$case === 'change' && event.value.alias
          ? [event.value.alias]
          : [];
    for (const { model, version, manifest } of aliases) {
      const found = await this.#deps.client.getVersion(model, version, { signal: this.#over.signal });
      assert.deepEqual(manifest, found.manifest, 'an alias points at a finalized version');
      this.#watched += 1;
    }
  }
}
