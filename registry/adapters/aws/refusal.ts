import { ServiceError } from '../../../proto/wire/errors.ts';
import { codeOf, nameOf, statusOf } from './error-names.ts';
import { isKeyFailure, keyOf } from './key-failure.ts';
import { REQUEST_ACTIONS } from './request-actions.ts';

/** What a request was about, for the operator who has to put it right. */
export interface AwsPlace {
  readonly kind: 'table' | 'bucket';
  readonly name: string;
}

const ABSENT = new Set(['NoSuchBucket', 'ResourceNotFoundException']);
/** S3 says so of a bucket of another region. */
const ELSEWHERE = new Set(['AuthorizationHeaderMalformed', 'IllegalLocationConstraintException', 'PermanentRedirect']);
/** The last two are about the file of a web identity. */
const NO_CREDENTIALS = new Set(['CredentialsProviderError', 'EACCES', 'ENOENT']);
const CREDENTIALS = new Set([
  ...NO_CREDENTIALS,
  'ExpiredToken',
  'ExpiredTokenException',
  'IDPRejectedClaimException',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidIdentityTokenException',
  'InvalidSignatureException',
  'InvalidToken',
  'MissingAuthenticationToken',
  'MissingAuthenticationTokenException',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
  'UnauthorizedException',
  'UnrecognizedClientException',
]);
const DENIED = new Set(['AccessDenied', 'AccessDeniedException', 'AllAccessDisabled', 'Forbidden']);

/**
 * The error for a refusal that lasts until the operator changes something, so that nobody tries again for ever; undefined for any
 * other failure. Of the service's text only the action is said: the rest names accounts and roles.
 */
export function refusalOf(error: Error, { kind, name: place }: AwsPlace): ServiceError | undefined {
  const name = nameOf(error) || codeOf(error);
  const status = statusOf(error);
  const details = { cause: error, metadata: { [kind]: place } };
  if (ABSENT.has(name)) {
    const reason = kind === 'table' ? 'TABLE_NOT_FOUND' : 'BUCKET_NOT_FOUND';
    return new ServiceError('failed-precondition', reason, `there is no ${kind} ${place}: ${name}`, details);
  }
  if (isElsewhere(error)) {
    const message = `bucket ${place} is not in the region that is asked: ${name}`;
    return new ServiceError('failed-precondition', 'BUCKET_NOT_FOUND', message, details);
  }
  if (name === 'InvalidObjectState') {
    const message = `an object of ${kind} ${place} is in an archive, from where it has to be restored first: ${name}`;
    return new ServiceError('failed-precondition', 'BLOB_ARCHIVED', message, details);
  }
  if (CREDENTIALS.has(name)) {
    const what = NO_CREDENTIALS.has(name)
      ? 'no credentials were found, or what gives them out cannot be asked'
      : 'the credentials are expired or wrong';
    const message = `${kind} ${place} cannot be used: ${what}: ${name}`;
    return new ServiceError('failed-precondition', 'CREDENTIALS_REFUSED', message, details);
  }
  if (isKeyFailure(error)) {
    const key = keyOf(error);
    const message = `${kind} ${place} cannot be used, its encryption key${key === undefined ? '' : ` ${key}`} is refused: ${name}`;
    const metadata = { ...details.metadata, ...(key !== undefined && { kms_key: key }) };
    return new ServiceError('failed-precondition', 'KMS_KEY_REFUSED', message, { ...details, metadata });
  }
  if (DENIED.has(name) || status === 401 || status === 403) {
    const reason = kind === 'table' ? 'TABLE_ACCESS_DENIED' : 'BUCKET_ACCESS_DENIED';
    const actions = actionsOf(error);
    const key = actions.some((action) => action.startsWith('kms:')) ? keyOf(error) : undefined;
    const permission = `the permission ${actions.join(' or ')}${key === undefined ? '' : ` of ${key}`}`;
    const what = `${actions.length === 0 ? 'a permission' : permission} is missing`;
    const metadata = {
      ...details.metadata,
      ...(actions.length > 0 && { permission: actions.join(',') }),
      ...(key !== undefined && { kms_key: key }),
    };
    const message = `${kind} ${place} cannot be used, ${what}: ${name}`;
    return new ServiceError('failed-precondition', reason, message, { ...details, metadata });
  }
  return undefined;
}

/** Whether it is the bucket of another region: there is one, and no other can be made of that name. */
export function isElsewhere(error: unknown): boolean {
  return ELSEWHERE.has(nameOf(error)) || statusOf(error) === 301;
}

/** What the service itself says is missing, as for the key of an encrypted bucket, or else all that the request needs. */
function actionsOf(error: Error): readonly string[] {
  const said = /not authorized to perform:? ([a-z0-9-]+:[A-Za-z]+)/i.exec(error.message)?.[1];
  if (said !== undefined) {
    return [said];
  }
  const request = 'request' in error && typeof error.request === 'string' ? error.request : '';
  return REQUEST_ACTIONS[request.replace(/Command$/, '')] ?? [];
}
