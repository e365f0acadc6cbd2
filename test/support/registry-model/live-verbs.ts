import * as fc from 'fast-check';
import { refOf } from '../../../proto/wire/digest.ts';
import type { Rollout } from '../../../registry/model/rollout.ts';
import type { ServableReport, ServableState } from '../../../registry/model/server-report.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import type { ReportServablesCommand } from '../../../registry/release/report-servables.ts';
import { never } from '../registry/publish.ts';
import { promoteVersion } from './alias-verbs.ts';
import { aliasAnswer } from './answers.ts';
import { digestOfVersion, type ReferenceReport, SERVER_TTL_MS } from './reference-live.ts';
import { refuse } from './reference-records.ts';
import type { ReferenceRegistry } from './reference-registry.ts';
import { NEWEST, names, type Verb, versionOf } from './verb.ts';

const FAILURE = { kind: 'unavailable' as const, reason: 'DOWNLOAD_FAILED', message: 'no way there' };

/** Of other bytes than any version's. */
const OTHER = refOf(Buffer.from('other')).digest;

/** Patterns, and what they say. */
const KEPT = [
  { patterns: ['*'], keeps: () => true },
  { patterns: ['x', 'm*'], keeps: (model: string) => model.startsWith('m') },
  { patterns: ['m'], keeps: (model: string) => model === 'm' },
  { patterns: [], keeps: () => false },
] as const;

export interface Report {
  readonly server: number;
  readonly kept: number;
  readonly aliases: readonly string[];
  readonly sequence: number;
  readonly servables: readonly {
    readonly model: string;
    readonly version: number;
    readonly state: ServableState;
    readonly hasFailed: boolean;
    /** Other bytes of that number. */
    readonly isOther: boolean;
  }[];
  /** The newest one is the one that the alias points at here. */
  readonly served: readonly {
    readonly model: string;
    readonly alias: string;
    readonly version: number;
    readonly isOther: boolean;
  }[];
  readonly isStopping: boolean;
}

const STATES: readonly ServableState[] = [
  'ready',
  'ready',
  'ready',
  'fetched',
  'loading',
  'wanted',
  'fetching',
  'draining',
  'failed',
];

export const reports = fc.record<Report>({
  server: fc.integer({ min: 0, max: 2 }),
  kept: fc.constantFrom(0, 0, 1, 2, 3),
  aliases: fc.constantFrom(['production', 'canary'], ['production'], []),
  sequence: fc.constantFrom(1, 1, 2, 3, 0),
  servables: fc.uniqueArray(
    fc.record({
      model: names.model,
      version: fc.constantFrom(NEWEST, NEWEST, 1, 2, 3, 4),
      state: fc.constantFrom(...STATES),
      hasFailed: fc.constantFrom(false, false, true),
      isOther: fc.constantFrom(false, false, false, true),
    }),
    { maxLength: 4, size: 'max', selector: ({ model, version }) => `${model}:${version}` },
  ),
  served: fc.uniqueArray(
    fc.record({
      model: names.model,
      alias: names.alias,
      version: fc.constantFrom(NEWEST, NEWEST, 0, 1, 2, 3),
      isOther: fc.constantFrom(false, false, true),
    }),
    { maxLength: 3, size: 'max', selector: ({ model, alias }) => `${model}@${alias}` },
  ),
  isStopping: fc.constantFrom(false, false, false, false, true),
});

export const reportServables: Verb<Report> = {
  name: 'report',
  steps: reports,
  perform: (registry, step, _real, reference) => registry.reportServables(commandOf(reference, step), never),
  expect: (reference, step, by) => expectReport(reference, step, by),
};

export function expectReport(reference: ReferenceRegistry, step: Report, by: number) {
  if (step.sequence === 0) {
    refuse('invalid-argument', 'INVALID_REQUEST');
  }
  if (step.isStopping) {
    reference.live(by).forget(reportOf(reference, step).id);
  } else {
    reference.live(by).report(reportOf(reference, step));
  }
  return { expireAfterMs: SERVER_TTL_MS };
}

export function commandOf(reference: ReferenceRegistry, step: Report): ReportServablesCommand {
  const { id, name, keptAliases, sequence, servables, served } = reportOf(reference, step);
  const server = { id, name, serverVersion: '0.1.0', servedModels: KEPT[step.kept]?.patterns ?? [], servedAliases: keptAliases };
  return {
    server,
    sequence,
    servables: servables.map(({ hasFailed, ...said }) => ({ ...said, failure: hasFailed ? FAILURE : undefined })),
    aliases: served.map(({ servingDigest, ...said }) => ({ ...said, servingManifestDigest: servingDigest })),
    isStopping: step.isStopping,
  };
}

function reportOf(reference: ReferenceRegistry, step: Report): ReferenceReport {
  const { server, kept, aliases, sequence, servables, served } = step;
  return {
    id: `server-${server}`,
    // Two of one name.
    name: `server ${Math.min(server, 1)}`,
    keeps: KEPT[kept]?.keeps ?? (() => false),
    keptAliases: aliases,
    sequence,
    servables: servables
      .map((said) => ({ ...said, version: versionOf(reference, said.model, said.version) }))
      // The newest one may have been named by its number too.
      .filter(({ model, version }, at, all) => all.findIndex((one) => one.model === model && one.version === version) === at)
      .map(({ model, version, state, hasFailed, isOther }) => {
        const manifestDigest = isOther ? OTHER : digestOfVersion(reference, model, version);
        return { model, version, manifestDigest, state, hasFailed, sinceMs: reference.nowMs - 1 };
      }),
    served: served.map(({ model, alias, version: meant, isOther }) => {
      const version = meant === NEWEST ? (reference.current(model, alias)?.version ?? 0) : meant;
      const digest = isOther ? OTHER : digestOfVersion(reference, model, version);
      const desired = { desiredVersion: version + 1, desiredRevision: version + 2 };
      return { model, alias, ...desired, servingVersion: version, servingDigest: version === 0 ? '' : digest };
    }),
    reportTimeMs: reference.nowMs,
  };
}

interface HeldPromotion {
  readonly model: string;
  readonly alias: string;
  readonly version: number;
  readonly requireReady: number;
  /** Those that hold the version. */
  readonly servers: number;
}

/** A promotion once servers said that they hold the version: by itself a sequence seldom gets there. */
export const promoteHeld: Verb<HeldPromotion> = {
  name: 'promote held',
  steps: fc.record({
    model: names.model,
    alias: names.alias,
    version: fc.oneof(fc.constant(NEWEST), names.version),
    requireReady: fc.constantFrom(1, 1, 2),
    servers: fc.constantFrom(1, 1, 2, 3),
  }),
  perform: async (registry, step, real, reference, by) => {
    for (const report of holdersOf(step)) {
      await registry.reportServables(commandOf(reference, report), never);
    }
    return promoteVersion.perform(registry, promotionOf(step), real, reference, by);
  },
  expect: (reference, step, by) => {
    for (const report of holdersOf(step)) {
      expectReport(reference, report, by);
    }
    return promoteVersion.expect(reference, promotionOf(step), by);
  },
};

function holdersOf({ model, alias, version, servers }: HeldPromotion): Report[] {
  const held = { model, version, state: 'fetched' as const, hasFailed: false, isOther: false };
  const report = { kept: 0, aliases: [alias], sequence: 3, servables: [held], served: [], isStopping: false };
  return Array.from({ length: servers }, (_, server) => ({ ...report, server }));
}

function promotionOf({ model, alias, version, requireReady }: HeldPromotion) {
  return { model, alias, version, requireReady, expected: 'any' as const, actor: 'ada', reason: '', requestId: '' };
}

export interface RolloutOf {
  readonly model: string;
  /** Empty: of all. */
  readonly alias: string;
}

export const rolloutSteps = { model: names.model, alias: fc.oneof(names.alias, fc.constant(''), fc.constant('')) };

export const getRollout: Verb<RolloutOf> = {
  name: 'rollout',
  steps: fc.record(rolloutSteps),
  perform: async (registry, step) => rolloutAnswer(await registry.getRollout(step, never)),
  expect: (reference, { model, alias }, by) => reference.live(by).rollout(reference, model, alias, reference.nowMs),
};

export function rolloutAnswer({ aliases, versions, servers }: Rollout) {
  return {
    aliases: aliases.map(({ alias, ...counts }) => ({ alias: aliasAnswer(alias), ...counts })),
    versions,
    servers: servers.map(({ id, name, reportTimeMs, servables, aliases: served }) => ({
      id,
      name,
      reportTimeMs,
      servables: servables.map(servableAnswer),
      served: served.map(({ model, alias, serving, ...desired }) => ({
        model: String(model),
        alias: String(alias),
        ...desired,
        servingVersion: serving?.version ?? 0,
        servingDigest: serving?.manifestDigest ?? '',
      })),
    })),
  };
}

function servableAnswer({ model, version, manifestDigest, state, failure, sinceMs }: ServableReport) {
  const isAsSaid = failure === undefined || JSON.stringify(failure) === JSON.stringify(FAILURE);
  return { model: String(model), version, manifestDigest, state, hasFailed: failure !== undefined && isAsSaid, sinceMs };
}

interface Prefetch {
  readonly model: string;
  readonly version: number;
  readonly holdSeconds: number;
}

export const prefetchVersion: Verb<Prefetch> = {
  name: 'prefetch',
  steps: fc.record({
    model: names.model,
    version: fc.constantFrom(1, 1, 2, 2, 3, 4),
    holdSeconds: fc.constantFrom(0, 30, 60, 7 * 24 * 3600),
  }),
  perform: async (registry: Registry, step) => {
    const { model, version, manifest, expireTimeMs } = await registry.prefetchVersion(step, never);
    return { model: String(model), version, digest: manifest.digest, expireTimeMs };
  },
  expect: (reference, { model, version, holdSeconds }, by) => {
    reference.version(model, version);
    const expireTimeMs = reference.nowMs + (holdSeconds === 0 ? 3600 : holdSeconds) * 1000;
    const wish = { model, version, digest: digestOfVersion(reference, model, version), expireTimeMs };
    return reference.live(by).prefetch(wish, reference.nowMs);
  },
};
