import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ServiceError } from '../../../../proto/wire/errors.ts';
import { isTransient, translateAwsError } from '../../../../registry/adapters/aws/aws-errors.ts';
import { LostRaceError } from '../../../../registry/adapters/aws/retry.ts';
import { awsError, cancelled } from '../../../support/aws/fake-client.ts';

const network = (code: string): Error => Object.assign(new Error(`connect ${code} 10.0.0.1:443`), { code });

/** The client has learned the right time from the answer. */
const skewed = (name: string, httpStatusCode = 403): Error =>
  awsError(name, httpStatusCode, { $metadata: { httpStatusCode, clockSkewCorrected: true } });
const table = { kind: 'table', name: 'models' } as const;

const TABLE: readonly [error: unknown, isTransient: boolean, reason: string, kind: string][] = [
  [awsError('ProvisionedThroughputExceededException'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('ThrottlingException'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('TransactionConflictException'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('TransactionInProgressException'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('SlowDown', 503), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('SomethingNew', 500), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('SomethingNew', 429), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('ConditionalRequestConflict', 409), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('TimeoutError', 0), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [network('ECONNREFUSED'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [network('ECONNRESET'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [network('ENOTFOUND'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [cancelled('None', 'TransactionConflict', 'ThrottlingError'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [new LostRaceError('again'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [skewed('InvalidSignatureException', 400), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [skewed('RequestTimeTooSkewed'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [skewed('RequestExpired', 400), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [skewed('SignatureDoesNotMatch'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  // A HEAD's answer has no body that could say more: whoever sent it asks in another way.
  [skewed('Unknown'), false, 'TABLE_ACCESS_DENIED', 'failed-precondition'],
  [skewed('AccessDenied'), false, 'TABLE_ACCESS_DENIED', 'failed-precondition'],
  [skewed('ResourceNotFoundException', 400), false, 'TABLE_NOT_FOUND', 'failed-precondition'],
  [awsError('AccessDeniedException'), false, 'TABLE_ACCESS_DENIED', 'failed-precondition'],
  [awsError('AccessDenied', 403), false, 'TABLE_ACCESS_DENIED', 'failed-precondition'],
  [awsError('SomethingNew', 403), false, 'TABLE_ACCESS_DENIED', 'failed-precondition'],
  [awsError('ResourceNotFoundException'), false, 'TABLE_NOT_FOUND', 'failed-precondition'],
  [awsError('CredentialsProviderError', 0), false, 'CREDENTIALS_REFUSED', 'failed-precondition'],
  // A provider that says why it failed.
  [Object.assign(network('ECONNREFUSED'), { name: 'CredentialsProviderError' }), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('CredentialsProviderError', 503), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('UnauthorizedException', 401), false, 'CREDENTIALS_REFUSED', 'failed-precondition'],
  // The token service about a web identity, and the file that it is in.
  [awsError('IDPCommunicationErrorException'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('IDPRejectedClaimException', 403), false, 'CREDENTIALS_REFUSED', 'failed-precondition'],
  [awsError('InvalidIdentityTokenException'), false, 'CREDENTIALS_REFUSED', 'failed-precondition'],
  [network('ENOENT'), false, 'CREDENTIALS_REFUSED', 'failed-precondition'],
  [awsError('KMS.ThrottlingException'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('KMS.KeyUnavailableException'), true, 'STORAGE_UNAVAILABLE', 'unavailable'],
  [awsError('KMS.DisabledException'), false, 'KMS_KEY_REFUSED', 'failed-precondition'],
  [awsError('ExpiredTokenException'), false, 'CREDENTIALS_REFUSED', 'failed-precondition'],
  [awsError('UnrecognizedClientException'), false, 'CREDENTIALS_REFUSED', 'failed-precondition'],
  [awsError('InsufficientStorage', 507), false, 'STORAGE_FULL', 'resource-exhausted'],
];

it('tells what may pass from what has to be put right, and says neither account nor role', () => {
  for (const [error, mayPass, reason, kind] of TABLE) {
    const name = error instanceof Error ? `${error.name} ${String(Reflect.get(error, 'code'))}` : '';
    assert.equal(isTransient(error), mayPass, name);
    const translated = translateAwsError(error, table);
    assert.ok(translated instanceof ServiceError, name);
    assert.deepEqual([translated.kind, translated.reason, translated.cause], [kind, reason, error], name);
    assert.equal(translated.retryDelayMs !== undefined, kind !== 'failed-precondition', name);
    assert.match(translated.message, /\bmodels\b/);
    assert.doesNotMatch(translated.message, /arn:|10\.0\.0\.1/);
  }
});

it('leaves our own mistakes and errors that say enough as they are', () => {
  const known = new ServiceError('not-found', 'BLOB_NOT_FOUND', 'x');
  for (const error of [awsError('ValidationException'), cancelled('ValidationError'), new TypeError('bug'), known, 'text']) {
    assert.equal(isTransient(error), false);
    assert.equal(translateAwsError(error, table), error);
  }
});

it('does not ask again for what is not so, only because the clock is wrong too', () => {
  const answers = [
    ['NotFound', 404],
    ['NoSuchKey', 404],
    ['NoSuchVersion', 404],
    ['PreconditionFailed', 412],
    ['InvalidRange', 416],
    ['ConditionalCheckFailedException', 400],
    ['Unknown', 400],
  ] as const;
  for (const [name, status] of answers) {
    const error = skewed(name, status);
    assert.equal(isTransient(error), false, name);
    assert.equal(translateAwsError(error, table), error, name);
  }
});
