import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isMisconfigured } from '../../../../proto/wire/errors.ts';
import { refusalOf } from '../../../../registry/adapters/aws/refusal.ts';
import { awsError } from '../../../support/aws/fake-client.ts';

const bucket = { kind: 'bucket', name: 'lab' } as const;
const table = { kind: 'table', name: 'models' } as const;

const SAID = 'User: arn:aws:sts::1234:assumed-role/secret is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:key';
const KEY = 'arn:aws:kms:us-east-1:123456789012:key/1a-2b';
const SAID_OF_KEY = `User: arn:aws:sts::1234:assumed-role/secret is not authorized to perform: kms:GenerateDataKey on resource: ${KEY}`;
/** As the token service has it. */
const SAID_BY_STS = 'Not authorized to perform sts:AssumeRoleWithWebIdentity for arn:aws:iam::1234:role/secret';

const REFUSALS = [
  [awsError('NoSuchBucket', 404), bucket, 'BUCKET_NOT_FOUND', /there is no bucket lab/, undefined],
  [awsError('PermanentRedirect', 301), bucket, 'BUCKET_NOT_FOUND', /lab is not in the region/, undefined],
  [awsError('AuthorizationHeaderMalformed'), bucket, 'BUCKET_NOT_FOUND', /lab is not in the region/, undefined],
  [awsError('ResourceNotFoundException'), table, 'TABLE_NOT_FOUND', /there is no table models/, undefined],
  [awsError('ExpiredToken', 400), bucket, 'CREDENTIALS_REFUSED', /lab .*credentials/, undefined],
  [awsError('CredentialsProviderError', 0), bucket, 'CREDENTIALS_REFUSED', /lab .*no credentials were found/, undefined],
  [about('KMS.DisabledException'), bucket, 'KMS_KEY_REFUSED', /lab .*key key\/1a-2b is refused/, undefined],
  [about('KMS.NotFoundException'), bucket, 'KMS_KEY_REFUSED', /lab .*key key\/1a-2b is refused/, undefined],
  [about('KMS.KMSInvalidStateException'), bucket, 'KMS_KEY_REFUSED', /lab .*key key\/1a-2b is refused/, undefined],
  [awsError('KMS.NotFoundException'), bucket, 'KMS_KEY_REFUSED', /lab .*its encryption key is refused/, undefined],
  [awsError('AccessDenied', 403), bucket, 'BUCKET_ACCESS_DENIED', /a permission is missing/, undefined],
  [denied('PutObjectCommand'), bucket, 'BUCKET_ACCESS_DENIED', /s3:PutObject is missing/, 's3:PutObject'],
  [
    denied('HeadObjectCommand', ''),
    bucket,
    'BUCKET_ACCESS_DENIED',
    /s3:GetObject or s3:ListBucket/,
    's3:GetObject,s3:ListBucket',
  ],
  [denied('GetItemCommand'), table, 'TABLE_ACCESS_DENIED', /dynamodb:GetItem is missing/, 'dynamodb:GetItem'],
  [denied('GetObjectCommand', SAID), bucket, 'BUCKET_ACCESS_DENIED', /kms:Decrypt is missing/, 'kms:Decrypt'],
  [
    denied('GetObjectCommand', SAID_BY_STS),
    bucket,
    'BUCKET_ACCESS_DENIED',
    /sts:AssumeRoleWithWebIdentity is missing/,
    'sts:AssumeRoleWithWebIdentity',
  ],
] as const;

it('names table or bucket, and the permission that is missing, but no account and no role', () => {
  for (const [error, place, reason, message, permission] of REFUSALS) {
    const refusal = refusalOf(error, place);
    assert.ok(isMisconfigured(refusal), reason);
    assert.deepEqual([refusal.reason, refusal.cause, refusal.metadata['permission']], [reason, error, permission]);
    assert.equal(refusal.metadata[place.kind], place.name);
    assert.match(refusal.message, message);
    assert.doesNotMatch(refusal.message, /arn:|secret/);
  }
});

it('names the key that a permission is missing of, and keys in metadata', () => {
  const refusal = refusalOf(denied('GetObjectCommand', `${SAID_OF_KEY} because no policy allows it`), bucket);
  assert.match(refusal?.message ?? '', /the permission kms:GenerateDataKey of key\/1a-2b is missing/);
  const metadata = { bucket: 'lab', permission: 'kms:GenerateDataKey', kms_key: 'key/1a-2b' };
  assert.deepEqual([refusal?.reason, refusal?.metadata], ['BUCKET_ACCESS_DENIED', metadata]);
  const disabled = refusalOf(about('KMS.DisabledException'), bucket);
  assert.deepEqual(disabled?.metadata, { bucket: 'lab', kms_key: 'key/1a-2b' });
});

it('takes an archived object for what it is, and not for a store that refuses everything', () => {
  const refusal = refusalOf(awsError('InvalidObjectState', 403), bucket);
  assert.deepEqual([refusal?.kind, refusal?.reason], ['failed-precondition', 'BLOB_ARCHIVED']);
  assert.ok(!isMisconfigured(refusal));
});

it('is for nothing that may pass by itself or is our own mistake', () => {
  for (const error of [
    awsError('SlowDown', 503),
    awsError('ValidationException'),
    awsError('NoSuchKey', 404),
    new TypeError('x'),
  ]) {
    assert.equal(refusalOf(error, bucket), undefined);
  }
});

/** As S3 passes on what the key service says. */
function about(name: string): Error {
  return Object.assign(awsError(name), { message: `${KEY} is not what it should be` });
}

function denied(request: string, message = 'denied'): Error {
  return Object.assign(awsError('AccessDenied', 403), { message, request });
}
