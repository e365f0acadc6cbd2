import { ServiceError, throwIfAborted } from '../../../proto/wire/errors.ts';
import type { ModelName } from '../../../proto/wire/names.ts';
import type { LiveReport } from '../../model/rollout.ts';
import type { ServerReports } from '../../release/server-reports.ts';

export interface MemoryReportsSettings {
  readonly maxServers: number;
  /** Of all reports together, in characters of their JSON. */
  readonly maxCharacters: number;
}

/** A report of a server with ten versions has 4000 characters: as many servers as allowed take 4 of these 64 million. */
export const DEFAULT_REPORTS_SETTINGS: MemoryReportsSettings = { maxServers: 1000, maxCharacters: 64 * 1024 * 1024 };

/** Where there is nothing whose end could be waited for. */
const DEFAULT_DELAY_MS = 10_000;

interface Entry {
  readonly report: LiveReport;
  /** All but the times and the sequence: what makes a report say something new. */
  readonly content: string;
}

/**
 * Reports in the memory of one registry process. On a disk they would be a write a server every few seconds, for what is worth
 * nothing after a restart: by then every server has reported again. Several processes each know only what they were told; those on
 * AWS share `DynamoReports`.
 */
export class MemoryReports implements ServerReports {
  readonly #settings: MemoryReportsSettings;
  readonly #entries = new Map<string, Entry>();
  #characters = 0;
  #head = 0;

  constructor(settings: MemoryReportsSettings = DEFAULT_REPORTS_SETTINGS) {
    this.#settings = settings;
  }

  async put(report: LiveReport, signal: AbortSignal): Promise<number | undefined> {
    throwIfAborted(signal);
    const { server, sequence, servables, aliases } = report;
    this.#dropExpired(report.reportTimeMs);
    const known = this.#entries.get(server.id);
    if (known !== undefined && known.report.sequence > sequence) {
      return undefined;
    }
    const content = JSON.stringify([server, servables, aliases]);
    const characters = this.#characters - (known?.content.length ?? 0) + content.length;
    this.#checkRoom(known === undefined ? this.#entries.size + 1 : this.#entries.size, characters, report.reportTimeMs);
    this.#entries.set(server.id, { report, content });
    this.#characters = characters;
    return known?.content === content ? undefined : ++this.#head;
  }

  async remove(serverId: string, signal: AbortSignal): Promise<number | undefined> {
    throwIfAborted(signal);
    return this.#drop(serverId) ? ++this.#head : undefined;
  }

  async list(model: ModelName, nowMs: number, signal: AbortSignal): Promise<LiveReport[]> {
    throwIfAborted(signal);
    this.#dropExpired(nowMs);
    return [...this.#entries.values()].map(({ report }) => ({
      ...report,
      servables: report.servables.filter((servable) => servable.model === model),
      aliases: report.aliases.filter((alias) => alias.model === model),
    }));
  }

  async head(signal: AbortSignal): Promise<number> {
    throwIfAborted(signal);
    return this.#head;
  }

  #checkRoom(servers: number, characters: number, nowMs: number): void {
    const { maxServers, maxCharacters } = this.#settings;
    if (servers > maxServers || characters > maxCharacters) {
      const endsMs = [...this.#entries.values()].map(({ report }) => report.expireTimeMs);
      throw new ServiceError(
        'resource-exhausted',
        'REPORTS_FULL',
        `no room for the report: it would make ${servers} servers (at most ${maxServers}) with ${characters} characters (at most ${maxCharacters})`,
        // Servers that live renew their reports; those that do not make room then.
        { retryDelayMs: endsMs.length === 0 ? DEFAULT_DELAY_MS : Math.min(...endsMs) - nowMs },
      );
    }
  }

  #dropExpired(nowMs: number): void {
    for (const [id, { report }] of this.#entries) {
      if (report.expireTimeMs <= nowMs) {
        this.#drop(id);
      }
    }
  }

  #drop(serverId: string): boolean {
    this.#characters -= this.#entries.get(serverId)?.content.length ?? 0;
    return this.#entries.delete(serverId);
  }
}
