import type { BlobRef, Digest } from '../../proto/wire/digest.ts';
import type { ModelName } from '../../proto/wire/names.ts';
import { createServedSet } from '../../proto/wire/served-set.ts';
import type { AliasState } from './alias.ts';
import { isHeldReady, type ServableReport, type ServedAlias, type ServerReport } from './server-report.ts';

/** What a live server says of one model, and until when it counts. */
export interface LiveReport extends ServerReport {
  readonly reportTimeMs: number;
  readonly expireTimeMs: number;
}

/** Where an alias points, and how far the servers are that keep it loaded. */
export interface AliasRollout {
  readonly alias: AliasState;
  readonly required: number;
  readonly serving: number;
  readonly ready: number;
  readonly failed: number;
}

/** How many servers have a version. */
export interface VersionRollout {
  readonly version: number;
  readonly manifestDigest: Digest;
  readonly ready: number;
  readonly loaded: number;
  readonly failed: number;
}

export interface ServerRollout {
  readonly id: string;
  readonly name: string;
  readonly serverVersion: string;
  readonly servables: readonly ServableReport[];
  readonly aliases: readonly ServedAlias[];
  readonly reportTimeMs: number;
}

/** One model on all live servers. */
export interface Rollout {
  readonly aliases: readonly AliasRollout[];
  readonly versions: readonly VersionRollout[];
  readonly servers: readonly ServerRollout[];
}

/** `reports` say nothing of other models; `aliases` are those of the model that were asked for. */
export function rolloutOf(model: ModelName, aliases: readonly AliasState[], reports: readonly LiveReport[]): Rollout {
  return {
    aliases: aliases.map((alias) => aliasRollout(alias, reports)),
    versions: versionRollouts(reports),
    servers: reports
      .filter(({ server, servables }) => servables.length > 0 || keepsAny(server, model, aliases))
      .map(({ server: { id, name, serverVersion }, servables, aliases: served, reportTimeMs }) => ({
        id,
        name,
        serverVersion,
        servables,
        aliases: served.filter(({ alias }) => aliases.some((asked) => asked.alias === alias)),
        reportTimeMs,
      }))
      .toSorted((a, b) => compare(a.name, b.name) || compare(a.id, b.id)),
  };
}

/** The servers that keep an alias of this model loaded, with what they say of `version`. */
export function holdersOf(
  target: {
    readonly model: ModelName;
    readonly alias: AliasState['alias'];
    readonly version: number;
    readonly manifest: BlobRef;
  },
  reports: readonly LiveReport[],
): { readonly report: LiveReport; readonly servable: ServableReport | undefined }[] {
  const { model, alias, version, manifest } = target;
  return reports
    .filter(({ server }) => servedSetOf(server)(model, alias))
    .map((report) => ({
      report,
      servable: report.servables.find((known) => known.version === version && known.manifestDigest === manifest.digest),
    }));
}

function aliasRollout(alias: AliasState, reports: readonly LiveReport[]): AliasRollout {
  const holders = holdersOf(alias, reports);
  const serves = ({ report }: (typeof holders)[number]): boolean => {
    const serving = report.aliases.find((served) => served.alias === alias.alias)?.serving;
    return serving?.version === alias.version && serving.manifestDigest === alias.manifest.digest;
  };
  return {
    alias,
    required: holders.length,
    serving: count(holders, serves),
    ready: count(holders, ({ servable }) => servable !== undefined && isHeldReady(servable)),
    failed: count(holders, ({ servable }) => servable?.failure !== undefined),
  };
}

/** A number is not enough: a registry that was set up anew may have given it to other content. */
function versionRollouts(reports: readonly LiveReport[]): VersionRollout[] {
  const groups = new Map<string, { version: number; manifestDigest: Digest; servables: ServableReport[] }>();
  for (const servable of reports.flatMap(({ servables }) => servables)) {
    const { version, manifestDigest } = servable;
    const key = `${version} ${manifestDigest}`;
    const group = groups.get(key) ?? { version, manifestDigest, servables: [] };
    group.servables.push(servable);
    groups.set(key, group);
  }
  return [...groups.values()]
    .map(({ version, manifestDigest, servables }) => ({
      version,
      manifestDigest,
      ready: count(servables, isHeldReady),
      loaded: count(servables, ({ state }) => state === 'ready'),
      failed: count(servables, ({ failure }) => failure !== undefined),
    }))
    .toSorted((a, b) => b.version - a.version || compare(a.manifestDigest, b.manifestDigest));
}

function keepsAny(server: ServerReport['server'], model: ModelName, aliases: readonly AliasState[]): boolean {
  const isServed = servedSetOf(server);
  return aliases.some(({ alias }) => isServed(model, alias));
}

function servedSetOf({ servedModels, servedAliases }: ServerReport['server']): ReturnType<typeof createServedSet> {
  return createServedSet({ models: servedModels, aliases: servedAliases });
}

function count<T>(items: readonly T[], isCounted: (item: T) => boolean): number {
  return items.filter(isCounted).length;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
