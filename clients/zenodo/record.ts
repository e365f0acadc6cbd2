import { z } from 'zod';
import { ServiceError } from '../../proto/wire/errors.ts';
import type { Fetcher } from './fetcher.ts';

/** A file of a record. */
export interface RecordFile {
  /** A plain file name, such as `CLS_AMM_GrapheneH.zip`. */
  readonly name: string;
  readonly sizeBytes: number;
  /** MD5, lower-case hexadecimal. */
  readonly md5: string;
  readonly url: string;
}

export interface ZenodoRecord {
  readonly id: string;
  readonly doi: string | undefined;
  readonly title: string | undefined;
  readonly licence: string | undefined;
  /** The record's page. */
  readonly pageUrl: string;
  readonly files: readonly RecordFile[];
}

/** Where Zenodo answers. */
export const ZENODO_URL = 'https://zenodo.org';

/** A record's description is some kilobytes; twenty-five files make thirty. */
const MAX_RECORD_BYTES = 4 * 1024 * 1024;

const SCHEMA = z.object({
  doi: z.string().optional(),
  metadata: z
    .object({ title: z.string().optional(), license: z.union([z.string(), z.object({ id: z.string() })]).optional() })
    .optional(),
  files: z.array(
    z.object({
      key: z.string(),
      size: z.number().int().nonnegative(),
      checksum: z.string(),
      links: z.object({ self: z.string().optional(), content: z.string().optional() }).optional(),
    }),
  ),
});

/** Becomes a file in a folder of ours. */
const SAFE_NAME = /^[A-Za-z0-9][A-Za-z0-9._+ -]{0,200}$/;

/** `zenodo:15765516`, or a record's DOI or page. Undefined for what names no record. */
export function parseRecordName(text: string): string | undefined {
  const match =
    /^(?:zenodo:|(?:doi:|https?:\/\/doi\.org\/)?10\.5281\/zenodo\.|https?:\/\/zenodo\.org\/records?\/)(\d{1,12})\/?$/.exec(text);
  return match?.[1];
}

/**
 * Reads a record by the public API, `GET /api/records/ID`.
 * @throws ServiceError not-found RECORD_NOT_FOUND; failed-precondition RECORD_RESTRICTED where its files are not public;
 *   data-loss INVALID_RECORD for an answer that is none; as the fetcher does.
 */
export async function readRecord(fetcher: Fetcher, baseUrl: string, id: string, signal: AbortSignal): Promise<ZenodoRecord> {
  const base = baseUrl.replace(/\/+$/, '');
  const url = `${base}/api/records/${id}`;
  const { status, text } = await fetcher.text(url, MAX_RECORD_BYTES, signal);
  if (status === 404 || status === 410) {
    throw new ServiceError('not-found', 'RECORD_NOT_FOUND', `${url}: there is no record ${id}`, { metadata: { record: id } });
  }
  if (status === 401 || status === 403) {
    throw restricted(url);
  }
  if (status !== 200) {
    throw invalidRecord(url, `answered ${status}`);
  }
  const parsed = SCHEMA.safeParse(parseJson(url, text));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalidRecord(url, issue === undefined ? 'not a record' : `${issue.path.join('.')}: ${issue.message}`);
  }
  const { doi, metadata, files } = parsed.data;
  const licence = metadata?.license;
  const pageUrl = `${base}/records/${id}`;
  return {
    id,
    doi,
    title: metadata?.title,
    licence: typeof licence === 'object' ? licence.id : licence,
    pageUrl,
    files: files.map(({ key, size, checksum, links }) => ({
      name: safeName(url, key),
      sizeBytes: size,
      md5: md5Of(url, key, checksum),
      url: fileUrl(url, links?.self ?? links?.content ?? `${pageUrl}/files/${encodeURIComponent(key)}?download=1`),
    })),
  };
}

function parseJson(url: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidRecord(url, 'not JSON', error);
  }
}

function safeName(url: string, key: string): string {
  if (!SAFE_NAME.test(key)) {
    throw invalidRecord(url, `a file has the name ${JSON.stringify(key.slice(0, 200))}, which is no plain file name`);
  }
  return key;
}

function md5Of(url: string, key: string, checksum: string): string {
  const hex = /^(?:md5:)?([0-9a-f]{32})$/i.exec(checksum)?.[1];
  if (hex === undefined) {
    throw invalidRecord(
      url,
      `${key} has the checksum ${JSON.stringify(checksum.slice(0, 80))}, expected md5:<32 hexadecimal digits>`,
    );
  }
  return hex.toLowerCase();
}

/** A record over TLS names its files over TLS; nothing but the web is asked. */
function fileUrl(recordUrl: string, text: string): string {
  const url = URL.canParse(text, recordUrl) ? new URL(text, recordUrl) : undefined;
  const allowed = recordUrl.startsWith('https:') ? ['https:'] : ['http:', 'https:'];
  if (url === undefined || !allowed.includes(url.protocol)) {
    throw invalidRecord(recordUrl, `a file lies at ${JSON.stringify(text.slice(0, 200))}, expected ${allowed.join(' or ')}`);
  }
  return url.href;
}

function invalidRecord(url: string, problem: string, cause?: unknown): ServiceError {
  return new ServiceError('data-loss', 'INVALID_RECORD', `${url}: ${problem}`, { cause });
}

function restricted(url: string): ServiceError {
  return new ServiceError('failed-precondition', 'RECORD_RESTRICTED', `${url}: the record's files are not public`);
}
