import { type BlobRef, type Digest, refOf } from '../../../proto/wire/digest.ts';
import type { ErrorKind, ErrorReason } from '../../../proto/wire/errors.ts';
import type { ModelKind } from '../../../registry/model/model.ts';
import type { SampleVersion } from '../registry/sample-version.ts';
import type { ReferenceBlobs } from './reference-blobs.ts';
import type { ReferenceLive } from './reference-live.ts';

export type Labels = Readonly<Record<string, string>>;

export interface ReferenceVersion {
  readonly model: string;
  readonly version: number;
  readonly content: SampleVersion;
  readonly labels: Labels;
  readonly createTimeMs: number;
  deprecation: { readonly reason: string; readonly timeMs: number } | undefined;
}

export interface ReferenceEvent {
  readonly model: string;
  readonly alias: string;
  readonly revision: number;
  readonly action: 'promote' | 'rollback';
  readonly fromVersion: number;
  readonly version: number;
  /** Of the version's manifest. */
  readonly digest: Digest;
  readonly actor: string;
  readonly reason: string;
  readonly timeMs: number;
}

export interface ReferenceModel {
  readonly kind: ModelKind;
  readonly description: string;
  readonly labels: Labels;
  readonly createTimeMs: number;
  /** The number that was given last. */
  count: number;
  readonly versions: Map<number, ReferenceVersion>;
  readonly deleted: Set<number>;
  /** Where each alias pointed, one promotion after another; the last one is where it points. */
  readonly undo: Map<string, number[]>;
}

export interface ReferenceStaging {
  readonly model: string;
  readonly content: SampleVersion;
  readonly labels: Labels;
  readonly createTimeMs: number;
  /** The version it became; 0 while it is open. */
  version: number;
  isEnded: boolean;
}

/** What a registry refuses a call with. */
export class Refusal extends Error {
  readonly kind: ErrorKind;
  readonly reason: ErrorReason;
  readonly metadata: Readonly<Record<string, string>>;

  constructor(kind: ErrorKind, reason: ErrorReason, metadata: Readonly<Record<string, string>>) {
    super(`${kind} ${reason}`);
    this.kind = kind;
    this.reason = reason;
    this.metadata = metadata;
  }
}

/** What a registry is, without anything that makes it last, quick, or shared: the state that every call is judged by. */
export class ReferenceRegistry {
  readonly models = new Map<string, ReferenceModel>();
  readonly stagings: ReferenceStaging[] = [];
  readonly blobs: ReferenceBlobs;
  /** What each registry process knows of servers and prefetches; one for all where they share it. */
  readonly #live: readonly ReferenceLive[];
  /** All moves of all aliases, in order. */
  readonly feed: ReferenceEvent[] = [];
  /** The places that watches gave, as the number of moves before. */
  readonly watchedAt: number[] = [];
  readonly #answers = new Map<string, { readonly content: string; readonly answer: unknown }>();
  nowMs: number;
  /** When the last watch began. */
  beganMs: number;

  constructor(nowMs: number, blobs: ReferenceBlobs, live: readonly ReferenceLive[]) {
    this.nowMs = nowMs;
    this.beganMs = nowMs;
    this.blobs = blobs;
    this.#live = live;
  }

  model(name: string): ReferenceModel {
    return this.models.get(name) ?? refuse('not-found', 'MODEL_NOT_FOUND');
  }

  version(name: string, version: number): ReferenceVersion {
    return this.model(name).versions.get(version) ?? refuse('not-found', 'VERSION_NOT_FOUND');
  }

  latest(name: string): number {
    return Math.max(0, ...this.model(name).versions.keys());
  }

  /** Undefined for a number that no staging has. */
  staging(index: number): ReferenceStaging | undefined {
    const staging = this.stagings[index];
    return staging?.isEnded === true ? undefined : staging;
  }

  /** What registry number `by` knows. */
  live(by: number): ReferenceLive {
    const live = this.#live[by % this.#live.length];
    if (live === undefined) {
      throw new Error('a reference needs live state');
    }
    return live;
  }

  /** Whether something ended in the last `ms`, so that a clock set back would bring it back to some stores and not to others. */
  hasEndedWithin(ms: number): boolean {
    return this.#live.some((live) => live.hasEndedWithin(this.nowMs, ms));
  }

  /** The last event of an alias: where it points. */
  current(model: string, alias: string): ReferenceEvent | undefined {
    return this.feed.findLast((event) => event.model === model && event.alias === alias);
  }

  /** Where aliases point, in the order of their names. */
  aliases(model?: string): ReferenceEvent[] {
    const last = new Map<string, ReferenceEvent>();
    for (const event of this.feed.filter((entry) => model === undefined || entry.model === model)) {
      last.set(`${event.model}#${event.alias}`, event);
    }
    return [...last].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, event]) => event);
  }

  move(event: Pick<ReferenceEvent, 'model' | 'alias' | 'action' | 'version' | 'actor' | 'reason'>): ReferenceEvent {
    const before = this.current(event.model, event.alias);
    const timeMs = Math.max(this.nowMs, before?.timeMs ?? this.nowMs);
    const { digest } = refOf(this.version(event.model, event.version).content.manifestJson);
    const moved = { ...event, digest, revision: (before?.revision ?? 0) + 1, fromVersion: before?.version ?? 0, timeMs };
    this.feed.push(moved);
    return moved;
  }

  isReferenced({ digest }: BlobRef): boolean {
    return [...this.models.values()].some((model) =>
      [...model.versions.values()].some(({ content }) => blobsOf(content).some((blob) => blob.digest === digest)),
    );
  }

  /** Answers a repeated request as the first time, unless `again` says otherwise. */
  once<T>(
    request: { readonly operation: string; readonly id: string; readonly content: unknown },
    action: () => T,
    again?: (first: T) => T,
  ): T {
    const { operation, id } = request;
    if (id === '') {
      return action();
    }
    const content = JSON.stringify(request.content);
    const known = this.#answers.get(`${operation} ${id}`);
    if (known === undefined) {
      const answer = action();
      this.#answers.set(`${operation} ${id}`, { content, answer });
      return answer;
    }
    if (known.content !== content) {
      return refuse('invalid-argument', 'REQUEST_ID_REUSED');
    }
    const first = known.answer as T;
    return again === undefined ? first : again(first);
  }
}

export function refuse(kind: ErrorKind, reason: ErrorReason, metadata: Readonly<Record<string, string>> = {}): never {
  throw new Refusal(kind, reason, metadata);
}

/** The blobs of a content, its manifest first. */
export function blobsOf(content: SampleVersion): readonly BlobRef[] {
  return [refOf(content.manifestJson), ...filesOf(content)];
}

/** Without hashing files again, which may be large. */
export function filesOf({ manifest }: SampleVersion): readonly BlobRef[] {
  return manifest.artifacts.map(({ digest, sizeBytes }) => ({ digest, sizeBytes }));
}
