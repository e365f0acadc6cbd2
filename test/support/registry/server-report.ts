import type { ReportServablesCommand, UncheckedAlias, UncheckedServable } from '../../../registry/release/report-servables.ts';

/** What server `name` reports; it keeps the usual aliases of all models. */
export function reportOf(name: string, change: Partial<ReportServablesCommand> = {}): ReportServablesCommand {
  return {
    server: {
      id: `server-${name}`,
      name,
      serverVersion: '0.1.0',
      servedModels: ['*'],
      servedAliases: ['production', 'canary'],
    },
    sequence: 1,
    servables: [],
    aliases: [],
    isStopping: false,
    ...change,
  };
}

/** One version on it, ready unless said otherwise. `digest` is the version's manifest digest. */
export function servableOf(version: number, digest: string, change: Partial<UncheckedServable> = {}): UncheckedServable {
  return {
    model: 'AMM',
    version,
    manifestDigest: digest,
    state: 'ready',
    failure: undefined,
    sinceMs: 1_700_000_000_000,
    ...change,
  };
}

/** `AMM@production` as it serves there. */
export function servedOf(version: number, digest: string, change: Partial<UncheckedAlias> = {}): UncheckedAlias {
  return {
    model: 'AMM',
    alias: 'production',
    desiredVersion: version,
    desiredRevision: 1,
    servingVersion: version,
    servingManifestDigest: digest,
    ...change,
  };
}
