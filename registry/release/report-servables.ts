import type { ErrorKind } from '../../proto/wire/errors.ts';
import { MAX_FAILURE_MESSAGE_LENGTH, MAX_REPORT_ENTRIES, MAX_REPORT_NAME_LENGTH } from '../../proto/wire/report-limits.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { InferenceServer, ServableReport, ServableState, ServedAlias } from '../model/server-report.ts';
import type { ReportingDeps } from './dependencies.ts';

const SERVER_ID = /^[A-Za-z0-9_-]{8,64}$/;
const MAX_SERVER_VERSION_LENGTH = 64;
const MAX_REASON_LENGTH = 64;
/** 9999-12-31: the last moment that a time stamp of the contract can name. */
const MAX_TIME_MS = 253_402_300_799_999;

export interface ReportServablesCommand {
  readonly server: InferenceServer | undefined;
  readonly sequence: number;
  readonly servables: readonly UncheckedServable[];
  readonly aliases: readonly UncheckedAlias[];
  readonly isStopping: boolean;
}

export interface UncheckedServable {
  readonly model: string;
  readonly version: number;
  readonly manifestDigest: string;
  readonly state: ServableState;
  readonly failure: { readonly kind: ErrorKind; readonly reason: string; readonly message: string } | undefined;
  readonly sinceMs: number;
}

export interface UncheckedAlias {
  readonly model: string;
  readonly alias: string;
  readonly desiredVersion: number;
  readonly desiredRevision: number;
  readonly servingVersion: number;
  readonly servingManifestDigest: string;
}

/**
 * Takes what an inference server says of itself; it counts until it is replaced or its time is up.
 * @throws ServiceError invalid-argument INVALID_REQUEST; resource-exhausted REPORTS_FULL.
 */
export async function reportServables(
  { reports, clock, reportsFollower }: ReportingDeps,
  { serverTtlMs }: { readonly serverTtlMs: number },
  command: ReportServablesCommand,
  signal: AbortSignal,
): Promise<{ readonly expireAfterMs: number }> {
  const check = new RequestCheck();
  const server = checkServer(check, command.server);
  if (!Number.isSafeInteger(command.sequence) || command.sequence < 1) {
    check.violation('sequence', `expected a number from 1 on, found ${command.sequence}`);
  }
  for (const field of ['servables', 'aliases'] as const) {
    checkCount(check, command[field], field);
  }
  // What is wrong with each of a million entries would be no answer to anybody.
  check.throwIfBad();
  const servables = command.servables.flatMap((servable, index) => checkServable(check, servable, `servables[${index}]`) ?? []);
  const aliases = command.aliases.flatMap((alias, index) => checkAlias(check, alias, `aliases[${index}]`) ?? []);
  if (server === undefined || check.isBad) {
    throw check.error();
  }
  const reportTimeMs = clock.nowMs();
  const times = { reportTimeMs, expireTimeMs: reportTimeMs + serverTtlMs };
  const head = command.isStopping
    ? await reports.remove(server.id, signal)
    : await reports.put({ server, sequence: command.sequence, servables, aliases, ...times }, signal);
  if (head !== undefined) {
    reportsFollower.notify(head);
  }
  return { expireAfterMs: serverTtlMs };
}

function checkServer(check: RequestCheck, server: InferenceServer | undefined): InferenceServer | undefined {
  if (server === undefined) {
    return check.violation('server', 'expected who reports');
  }
  if (!SERVER_ID.test(server.id)) {
    check.violation('server.id', `expected an id ([A-Za-z0-9_-]{8,64}), found "${server.id.slice(0, 80)}"`);
  }
  check.text(server.name, 'server.name', MAX_REPORT_NAME_LENGTH);
  check.text(server.serverVersion, 'server.server_version', MAX_SERVER_VERSION_LENGTH);
  for (const [field, names] of [
    ['server.served_models', server.servedModels],
    ['server.served_aliases', server.servedAliases],
  ] as const) {
    if (checkCount(check, names, field)) {
      for (const [index, name] of names.entries()) {
        check.text(name, `${field}[${index}]`, MAX_REPORT_NAME_LENGTH);
      }
    }
  }
  return server;
}

function checkCount(check: RequestCheck, items: readonly unknown[], field: string): boolean {
  if (items.length > MAX_REPORT_ENTRIES) {
    check.violation(field, `${items.length} entries, at most ${MAX_REPORT_ENTRIES}`);
    return false;
  }
  return true;
}

function checkServable(check: RequestCheck, servable: UncheckedServable, field: string): ServableReport | undefined {
  const { state, failure, sinceMs } = servable;
  const model = check.modelName(servable.model, `${field}.model`);
  const version = check.version(servable.version, `${field}.version`);
  const manifestDigest = check.digest(servable.manifestDigest, `${field}.manifest_digest`);
  // One that cannot be written into an answer must not get in: every reader of the rollout would fail by it.
  if (!(sinceMs >= 0 && sinceMs <= MAX_TIME_MS)) {
    check.violation(`${field}.since`, 'expected a time from 1970 to 9999');
  }
  if (failure !== undefined) {
    check.text(failure.message, `${field}.error.message`, MAX_FAILURE_MESSAGE_LENGTH);
    check.text(failure.reason, `${field}.error.reason`, MAX_REASON_LENGTH);
  }
  return model === undefined || version === undefined || manifestDigest === undefined
    ? undefined
    : { model, version, manifestDigest, state, failure, sinceMs };
}

function checkAlias(check: RequestCheck, served: UncheckedAlias, field: string): ServedAlias | undefined {
  const { desiredVersion, desiredRevision, servingVersion, servingManifestDigest } = served;
  const model = check.modelName(served.model, `${field}.model`);
  const alias = check.aliasName(served.alias, `${field}.alias`);
  const digest = servingVersion === 0 ? undefined : check.digest(servingManifestDigest, `${field}.serving_manifest_digest`);
  if (model === undefined || alias === undefined) {
    return undefined;
  }
  const serving = digest === undefined ? undefined : { version: servingVersion, manifestDigest: digest };
  return { model, alias, desiredVersion, desiredRevision, serving };
}
