import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { ModelName } from '../../../proto/wire/names.ts';
import type { LiveReport } from '../../model/rollout.ts';
import type { ServerReport } from '../../model/server-report.ts';
import type { ServerReports } from '../../release/server-reports.ts';
import { type Attributes, bytesOf, integerOf, type Row } from './attributes.ts';
import type { DynamoTable } from './dynamo-table.ts';
import { keys } from './table-layout.ts';
import { expiresAt } from './time-to-live.ts';

/** An item has at most 400 KB. */
const MAX_CONTENT_BYTES = 350 * 1024;
/** The longest report that the contract takes is shorter; what is read is never blown up to more. */
const MAX_JSON_BYTES = 16 * 1024 * 1024;

type Content = Pick<ServerReport, 'server' | 'servables' | 'aliases'>;

/**
 * Reports in the table, which all registries share: one item a server, its content compressed, so that a renewal of what an
 * ordinary server says is one write unit. The head is a counter of its own, grown after the item was written.
 */
export class DynamoReports implements ServerReports {
  readonly #table: DynamoTable;
  /** Servers whose news were written but not told; those of a process that died are seen when the next report expires. */
  readonly #untold = new Set<string>();

  constructor(table: DynamoTable) {
    this.#table = table;
  }

  async put(report: LiveReport, signal: AbortSignal): Promise<number | undefined> {
    const { server, sequence, reportTimeMs, expireTimeMs } = report;
    const content = await pack(report);
    const item = { sequence, reportTimeMs, expireTimeMs, content, ...expiresAt(expireTimeMs) };
    return this.#replace(server.id, signal, (known) => {
      const isLive = known !== undefined && integerOf(known, 'expireTimeMs') > reportTimeMs;
      if (isLive && integerOf(known, 'sequence') > sequence) {
        return undefined;
      }
      return { item, isNews: !isLive || !Buffer.from(bytesOf(known, 'content')).equals(content) };
    });
  }

  async remove(serverId: string, signal: AbortSignal): Promise<number | undefined> {
    return this.#replace(serverId, signal, (known) => {
      const endMs = known === undefined ? 0 : integerOf(known, 'expireTimeMs');
      // An item that has ended is one that is gone. When DynamoDB removes it stays: what ended over five years ago it keeps for ever.
      return endMs > 0 ? { item: { ...(known as Attributes), expireTimeMs: 0, ...expiresAt(endMs) }, isNews: true } : undefined;
    });
  }

  async list(model: ModelName, nowMs: number, signal: AbortSignal): Promise<LiveReport[]> {
    const rows = await this.#table.query({ pk: keys.server('').pk }, signal);
    const live = rows.filter((row) => integerOf(row, 'expireTimeMs') > nowMs);
    return Promise.all(live.map((row) => toReport(row, model)));
  }

  async head(signal: AbortSignal): Promise<number> {
    const row = await this.#table.get(keys.serversHead, signal);
    return row === undefined ? 0 : integerOf(row, 'sequence');
  }

  /** Writes what `decide` makes of the item, unless it makes nothing of it; asks again when another registry came in between. */
  async #replace(
    serverId: string,
    signal: AbortSignal,
    decide: (known: Row | undefined) => { readonly item: Attributes; readonly isNews: boolean } | undefined,
  ): Promise<number | undefined> {
    const key = keys.server(serverId);
    for (;;) {
      const known = await this.#table.get(key, signal);
      const change = decide(known);
      if (change?.isNews === true) {
        this.#untold.add(serverId);
      }
      const condition = known === undefined ? 'absent' : { attribute: 'sequence', equals: integerOf(known, 'sequence') };
      // A write whose answer got lost is found by its own repetition: what was news at the first look stays news.
      if (change === undefined || (await this.#table.put(key, change.item, condition, signal))) {
        break;
      }
    }
    if (!this.#untold.has(serverId)) {
      return undefined;
    }
    const head = await this.#table.increment(keys.serversHead, 'sequence', signal);
    this.#untold.delete(serverId);
    return head;
  }
}

async function pack({ server, servables, aliases }: Content): Promise<Buffer> {
  const content = await promisify(deflateRaw)(JSON.stringify({ server, servables, aliases } satisfies Content));
  if (content.byteLength > MAX_CONTENT_BYTES) {
    const message = `the report has ${content.byteLength} bytes, compressed; at most ${MAX_CONTENT_BYTES} can be kept`;
    throw new ServiceError('invalid-argument', 'INVALID_REQUEST', message);
  }
  return content;
}

async function toReport(row: Row, model: ModelName): Promise<LiveReport> {
  const json = await promisify(inflateRaw)(bytesOf(row, 'content'), { maxOutputLength: MAX_JSON_BYTES });
  const { server, servables, aliases } = JSON.parse(json.toString('utf8')) as Content;
  return {
    server,
    sequence: integerOf(row, 'sequence'),
    // JSON has no undefined.
    servables: servables.filter((said) => said.model === model).map((said) => ({ ...said, failure: said.failure })),
    aliases: aliases.filter((said) => said.model === model).map((said) => ({ ...said, serving: said.serving })),
    reportTimeMs: integerOf(row, 'reportTimeMs'),
    expireTimeMs: integerOf(row, 'expireTimeMs'),
  };
}
