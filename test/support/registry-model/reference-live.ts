import { type Digest, refOf } from '../../../proto/wire/digest.ts';
import type { ServableState } from '../../../registry/model/server-report.ts';
import { expectedAlias } from './answers.ts';
import type { ReferenceCatalog } from './reference-catalog.ts';
import { type ReferenceEvent, refuse } from './reference-records.ts';

/** How long a report holds, as the registries are set up. */
export const SERVER_TTL_MS = 10_000;

export interface ReferenceServable {
  readonly model: string;
  readonly version: number;
  readonly manifestDigest: string;
  readonly state: ServableState;
  readonly hasFailed: boolean;
  readonly sinceMs: number;
}

export interface ReferenceServed {
  readonly model: string;
  readonly alias: string;
  readonly desiredVersion: number;
  readonly desiredRevision: number;
  /** 0, with no digest: none. */
  readonly servingVersion: number;
  readonly servingDigest: string;
}

export interface ReferenceReport {
  readonly id: string;
  readonly name: string;
  /** The models that it keeps loaded, and which of their aliases. */
  readonly keeps: (model: string) => boolean;
  readonly keptAliases: readonly string[];
  readonly sequence: number;
  readonly servables: readonly ReferenceServable[];
  readonly served: readonly ReferenceServed[];
  readonly reportTimeMs: number;
}

export interface ReferenceWish {
  readonly model: string;
  readonly version: number;
  readonly digest: Digest;
  readonly expireTimeMs: number;
}

interface Target {
  readonly model: string;
  readonly alias: string;
  readonly version: number;
}

/** What is known of inference servers and prefetches. */
export class ReferenceLive {
  readonly #maxServers: number;
  readonly #reports = new Map<string, ReferenceReport>();
  readonly #wishes = new Map<string, ReferenceWish>();
  /** When something ended, or will. */
  readonly #endsMs = new Set<number>();

  constructor({ maxServers }: { readonly maxServers: number }) {
    this.#maxServers = maxServers;
  }

  hasEndedWithin(nowMs: number, ms: number): boolean {
    return [...this.#endsMs].some((endMs) => endMs <= nowMs && endMs > nowMs - ms);
  }

  report(report: ReferenceReport): void {
    const others = this.#liveAt(report.reportTimeMs).filter(({ id }) => id !== report.id);
    const known = this.#liveAt(report.reportTimeMs).find(({ id }) => id === report.id);
    if (known !== undefined && known.sequence > report.sequence) {
      return;
    }
    if (others.length >= this.#maxServers) {
      refuse('resource-exhausted', 'REPORTS_FULL');
    }
    this.#reports.set(report.id, report);
    this.#endsMs.add(report.reportTimeMs + SERVER_TTL_MS);
  }

  forget(id: string): void {
    this.#reports.delete(id);
  }

  prefetch(wish: ReferenceWish, nowMs: number): ReferenceWish {
    const key = `${wish.model}:${wish.version}`;
    const known = this.#wishes.get(key);
    if (known !== undefined && known.expireTimeMs > nowMs && known.expireTimeMs >= wish.expireTimeMs) {
      return known;
    }
    this.#wishes.set(key, wish);
    this.#endsMs.add(wish.expireTimeMs);
    return wish;
  }

  wishes(nowMs: number): ReferenceWish[] {
    return [...this.#wishes.values()].filter(({ expireTimeMs }) => expireTimeMs > nowMs);
  }

  /** @throws Refusal unless as many servers that keep the alias loaded hold the version ready. */
  requireReady(reference: ReferenceCatalog, { model, alias, version }: Target, required: number): void {
    const digest = digestOfVersion(reference, model, version);
    const ready = this.#keeping(model, alias, reference.nowMs).filter((report) =>
      holds(report, { model, version, digest }, isReady),
    );
    if (ready.length < required) {
      refuse('failed-precondition', 'NOT_ENOUGH_READY', { ready: String(ready.length), required: String(required) });
    }
  }

  /** One model on all servers. */
  rollout(reference: ReferenceCatalog, model: string, alias: string, atMs: number) {
    reference.model(model);
    const aliases = reference.aliases(model).filter((event) => alias === '' || event.alias === alias);
    if (alias !== '' && aliases.length === 0) {
      refuse('not-found', 'ALIAS_NOT_FOUND');
    }
    const live = this.#liveAt(atMs);
    const servables = live.flatMap((report) => report.servables.filter((servable) => servable.model === model));
    const versions = new Map(servables.map((servable) => [`${servable.version} ${servable.manifestDigest}`, servable]));
    return {
      aliases: aliases.map((event) => this.#aliasRollout(event, atMs)),
      versions: [...versions.values()]
        .toSorted((a, b) => b.version - a.version || (a.manifestDigest < b.manifestDigest ? -1 : 1))
        .map(({ version, manifestDigest }) => {
          const same = servables.filter((other) => other.version === version && other.manifestDigest === manifestDigest);
          return {
            version,
            manifestDigest,
            ready: same.filter(isReady).length,
            loaded: same.filter(({ state }) => state === 'ready').length,
            failed: same.filter(({ hasFailed }) => hasFailed).length,
          };
        }),
      servers: live
        .map((report) => ({
          id: report.id,
          name: report.name,
          reportTimeMs: report.reportTimeMs,
          servables: report.servables.filter((servable) => servable.model === model),
          served: report.served.filter(
            (served) => served.model === model && aliases.some((event) => event.alias === served.alias),
          ),
          isConcerned: report.keeps(model) && aliases.some((event) => report.keptAliases.includes(event.alias)),
        }))
        .filter((server) => server.servables.length > 0 || server.isConcerned)
        .map(({ id, name, reportTimeMs, servables: said, served }) => ({ id, name, reportTimeMs, servables: said, served }))
        .toSorted((a, b) => (`${a.name} ${a.id}` < `${b.name} ${b.id}` ? -1 : 1)),
    };
  }

  #aliasRollout(event: ReferenceEvent, atMs: number) {
    const { model, alias, version, digest } = event;
    const keeping = this.#keeping(model, alias, atMs);
    const isServing = ({ served }: ReferenceReport): boolean =>
      served.some(
        (one) => one.model === model && one.alias === alias && one.servingVersion === version && one.servingDigest === digest,
      );
    const target = { model, version, digest };
    return {
      alias: expectedAlias(event),
      required: keeping.length,
      serving: keeping.filter(isServing).length,
      ready: keeping.filter((report) => holds(report, target, isReady)).length,
      failed: keeping.filter((report) => holds(report, target, ({ hasFailed }) => hasFailed)).length,
    };
  }

  #keeping(model: string, alias: string, atMs: number): ReferenceReport[] {
    return this.#liveAt(atMs).filter((report) => report.keeps(model) && report.keptAliases.includes(alias));
  }

  #liveAt(atMs: number): ReferenceReport[] {
    return [...this.#reports.values()].filter(({ reportTimeMs }) => reportTimeMs + SERVER_TTL_MS > atMs);
  }
}

/** Of any version, so that reports can speak of one that is not there. */
export function digestOfVersion(reference: ReferenceCatalog, model: string, version: number): Digest {
  const content = reference.models.get(model)?.versions.get(version)?.content;
  return refOf(content?.manifestJson ?? Buffer.from('of another registry')).digest;
}

function holds(
  { servables }: ReferenceReport,
  target: { readonly model: string; readonly version: number; readonly digest: Digest },
  isCounted: (servable: ReferenceServable) => boolean,
): boolean {
  return servables.some(
    (one) =>
      one.model === target.model && one.version === target.version && one.manifestDigest === target.digest && isCounted(one),
  );
}

function isReady({ state, hasFailed }: ReferenceServable): boolean {
  return ['fetched', 'loading', 'ready'].includes(state) && !hasFailed;
}
