import { EventQueue } from '../../inference/pipeline/event-queue.ts';
import type { DesiredAlias, ModelSource, ResolvedVersion, SourceEvent } from '../../inference/rollout/model-source.ts';
import { abortError, ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import { formatReference, type ModelReference } from '../../proto/wire/names.ts';
import { FakeBlobSource } from './fake-blob-source.ts';
import type { MadeVersion } from './made-version.ts';

/** A registry whose watch a test steps by hand and that can be down. */
export class FakeModelSource implements ModelSource {
  readonly resolved: string[] = [];
  /** Chunks of artifacts that were asked for, all versions together. */
  readonly blobs = new Map<string, FakeBlobSource>();
  watches = 0;
  isDown = false;
  /** Awaited before a resolve is answered. */
  gate: Promise<void> = Promise.resolve();
  readonly #versions: MadeVersion[] = [];
  #aliases: readonly DesiredAlias[] = [];
  #queue: EventQueue<SourceEvent> | undefined;
  readonly #backlog: SourceEvent[] = [];

  /** Later ones stand before earlier ones with the same number. */
  publish(...versions: MadeVersion[]): void {
    this.#versions.unshift(...versions);
    for (const version of versions) {
      this.blobs.set(version.id, new FakeBlobSource(`fake registry, ${version.id}`, version.graph));
    }
  }

  blobRequests({ id }: MadeVersion): number {
    return this.blobs.get(id)?.requests.length ?? 0;
  }

  snapshot(...aliases: DesiredAlias[]): void {
    this.#aliases = aliases;
    this.#emit({ kind: 'snapshot', aliases });
  }

  change(alias: DesiredAlias): void {
    this.#aliases = [...this.#aliases.filter((known) => known.model !== alias.model || known.alias !== alias.alias), alias];
    this.#emit({ kind: 'change', alias });
  }

  prefetch({ key }: MadeVersion, holdMs: number): void {
    this.#emit({ kind: 'prefetch', key, holdMs });
  }

  alive(): void {
    this.#emit({ kind: 'alive' });
  }

  /** The registry goes down: the watch breaks, and so does everything until `isDown` is false again. */
  goDown(): void {
    this.isDown = true;
    this.#queue?.fail(down());
  }

  async *watch(signal: AbortSignal): AsyncGenerator<SourceEvent> {
    throwIfAborted(signal);
    this.watches += 1;
    if (this.isDown) {
      throw down();
    }
    const queue = new EventQueue<SourceEvent>();
    const end = (): void => queue.fail(abortError(signal));
    signal.addEventListener('abort', end, { once: true });
    this.#queue = queue;
    for (const event of this.#backlog.splice(0)) {
      queue.push(event);
    }
    try {
      yield* queue;
    } finally {
      signal.removeEventListener('abort', end);
      this.#queue = undefined;
    }
  }

  async resolve(reference: ModelReference, signal: AbortSignal): Promise<ResolvedVersion> {
    this.resolved.push(formatReference(reference));
    await this.gate;
    throwIfAborted(signal);
    if (this.isDown) {
      throw down();
    }
    const version = this.#find(reference);
    if (version === undefined) {
      throw new ServiceError('not-found', 'VERSION_NOT_FOUND', `${formatReference(reference)} does not exist`);
    }
    const { key, manifest, manifestBytes, id } = version;
    const source = this.blobs.get(id);
    return {
      model: key.model,
      version: key.version,
      manifestRef: key.manifest,
      manifestBytes,
      manifest,
      sourcesOf: () => (source === undefined ? [] : [source]),
    };
  }

  #find({ model, selector }: ModelReference): MadeVersion | undefined {
    const ofModel = this.#versions.filter(({ key }) => key.model === model);
    switch (selector.kind) {
      case 'version':
        return ofModel.find(({ key }) => key.version === selector.version);
      case 'latest':
        return ofModel.toSorted((left, right) => right.key.version - left.key.version)[0];
      case 'alias': {
        const alias = this.#aliases.find((known) => known.model === model && known.alias === selector.alias);
        return ofModel.find(({ key }) => key.version === alias?.version);
      }
    }
  }

  #emit(event: SourceEvent): void {
    if (this.#queue === undefined) {
      this.#backlog.push(event);
    } else {
      this.#queue.push(event);
    }
  }
}

function down(): ServiceError {
  return new ServiceError('unavailable', 'REGISTRY_UNAVAILABLE', 'the fake registry is down');
}
