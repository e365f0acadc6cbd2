import { digestOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import type { Catalog, Operation, RequestIdentity } from './catalog.ts';

export const MAX_REQUEST_ID_LENGTH = 128;

/** A request's id, if it has one, with everything that its answer depends on. */
export interface RequestContent {
  readonly operation: Operation;
  readonly requestId: string;
  readonly content: readonly unknown[];
}

/**
 * What an earlier call with this id recorded; undefined for a new request and for one without an id.
 * @throws ServiceError invalid-argument REQUEST_ID_REUSED when that call had another content.
 */
export async function findEarlier(
  catalog: Catalog,
  request: RequestContent,
  signal: AbortSignal,
): Promise<RequestIdentity | undefined> {
  const { operation, requestId } = request;
  const earlier = requestId === '' ? undefined : await catalog.findRequest(operation, requestId, signal);
  if (earlier !== undefined && earlier.fingerprint !== fingerprintOf(request)) {
    const description = `"${requestId}" was used for another ${operation} request`;
    throw new ServiceError('invalid-argument', 'REQUEST_ID_REUSED', `request_id: ${description}`, {
      violations: [{ field: 'request_id', description }],
    });
  }
  return earlier;
}

/** The record to write along with the request's effect. */
export function recordOf(request: RequestContent, subject: string, isEffective: boolean): RequestIdentity | undefined {
  const { operation, requestId } = request;
  return requestId === '' ? undefined : { operation, id: requestId, fingerprint: fingerprintOf(request), subject, isEffective };
}

function fingerprintOf({ content }: RequestContent): RequestIdentity['fingerprint'] {
  return digestOf(Buffer.from(JSON.stringify(content)));
}
