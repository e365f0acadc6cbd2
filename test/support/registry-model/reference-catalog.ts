import { type BlobRef, refOf } from '../../../proto/wire/digest.ts';
import { blobsOf, type ReferenceEvent, type ReferenceModel, type ReferenceVersion, refuse } from './reference-records.ts';

/** Models, versions and aliases of a registry, without anything that makes them last, quick, or shared. */
export class ReferenceCatalog {
  readonly models = new Map<string, ReferenceModel>();
  /** All moves of all aliases, in order. */
  readonly feed: ReferenceEvent[] = [];
  nowMs: number;

  constructor(nowMs: number) {
    this.nowMs = nowMs;
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
}
