import type {
  RegistryServiceClient,
  ReportServablesRequest,
  ReportServablesResponse,
} from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import {
  type InferenceServer,
  type ServableReport as ServableReportMessage,
  ServableState,
} from '../../proto/gen/maskterial/registry/v1/rollout.ts';
import { callUnary } from '../../proto/wire/calls.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { MAX_FAILURE_MESSAGE_LENGTH, MAX_REPORT_ENTRIES, MAX_REPORT_NAME_LENGTH } from '../../proto/wire/report-limits.ts';
import { toRpcStatus } from '../../proto/wire/status.ts';
import type { ReportSink, RolloutReport, ServableReport } from '../rollout/report-sink.ts';
import type { VersionState } from '../rollout/state.ts';

/** A registry that does not answer a report in this time is as good as down. */
const REPORT_TIMEOUT_MS = 10_000;
/** Where the registry does not say how long a report counts. */
const DEFAULT_TTL_MS = 30_000;

const STATES: Readonly<Record<VersionState, ServableState>> = {
  wanted: ServableState.SERVABLE_STATE_WANTED,
  fetching: ServableState.SERVABLE_STATE_FETCHING,
  fetched: ServableState.SERVABLE_STATE_FETCHED,
  loading: ServableState.SERVABLE_STATE_LOADING,
  ready: ServableState.SERVABLE_STATE_READY,
  draining: ServableState.SERVABLE_STATE_DRAINING,
  failed: ServableState.SERVABLE_STATE_FAILED,
};

/** The registry's rollout status as the place for this server's reports, cut to what the registry takes. */
export class RegistryReports implements ReportSink {
  readonly #client: RegistryServiceClient;
  readonly #server: InferenceServer;

  /** `server.id` must be another one at each start of the process. */
  constructor(client: RegistryServiceClient, server: InferenceServer) {
    this.#client = client;
    this.#server = {
      ...server,
      name: server.name.slice(0, MAX_REPORT_NAME_LENGTH),
      servedModels: server.servedModels.filter(({ length }) => length <= MAX_REPORT_NAME_LENGTH).slice(0, MAX_REPORT_ENTRIES),
      servedAliases: server.servedAliases.slice(0, MAX_REPORT_ENTRIES),
    };
  }

  async send(
    { servables, aliases }: RolloutReport,
    sequence: number,
    signal: AbortSignal,
  ): Promise<{ readonly expireAfterMs: number }> {
    // Should there be more than the registry takes, then what is not there yet matters most.
    const urgent = servables.toSorted((a, b) => Number(a.state === 'ready') - Number(b.state === 'ready'));
    const { expireAfter } = await this.#call(
      {
        server: this.#server,
        sequence: BigInt(sequence),
        servables: urgent.slice(0, MAX_REPORT_ENTRIES).map(toMessage),
        aliases: aliases.slice(0, MAX_REPORT_ENTRIES).map(({ serving, ...alias }) => ({
          ...alias,
          servingVersion: serving?.version ?? 0,
          servingManifestDigest: serving?.manifestDigest ?? '',
        })),
        stopping: false,
      },
      signal,
    );
    return {
      expireAfterMs: expireAfter === undefined ? DEFAULT_TTL_MS : Number(expireAfter.seconds) * 1000 + expireAfter.nanos / 1e6,
    };
  }

  async leave(sequence: number, signal: AbortSignal): Promise<void> {
    await this.#call({ server: this.#server, sequence: BigInt(sequence), servables: [], aliases: [], stopping: true }, signal);
  }

  #call(request: ReportServablesRequest, signal: AbortSignal): Promise<ReportServablesResponse> {
    return callUnary(this.#client.reportServables.bind(this.#client), request, { signal, timeoutMs: REPORT_TIMEOUT_MS });
  }
}

function toMessage({ model, version, manifestDigest, state, failure, sinceMs }: ServableReport): ServableReportMessage {
  const error = failure && toRpcStatus(new ServiceError(failure.kind, failure.reason, shorten(failure.message)));
  return { model, version, manifestDigest, state: STATES[state], error, since: new Date(sinceMs) };
}

/** The registry takes no U+0000, and no more than this. */
function shorten(message: string): string {
  return message.replaceAll('\0', ' ').slice(0, MAX_FAILURE_MESSAGE_LENGTH);
}
