/**
 * What the services may do on AWS: every action that a request of theirs needs, and no other. `test/infra/aws/permissions.test.ts`
 * compares them with the requests in the code.
 */
export const REGISTRY_TABLE_ACTIONS: readonly string[] = [
  'dynamodb:BatchGetItem',
  'dynamodb:ConditionCheckItem',
  'dynamodb:DeleteItem',
  'dynamodb:GetItem',
  'dynamodb:PutItem',
  'dynamodb:Query',
  'dynamodb:UpdateItem',
];

/** Without `ListBucket` S3 answers a missing object with 403, as if it were forbidden. */
export const REGISTRY_BUCKET_ACTIONS: readonly string[] = [
  's3:ListBucket',
  's3:ListBucketMultipartUploads',
  's3:ListBucketVersions',
];

export const REGISTRY_OBJECT_ACTIONS: readonly string[] = [
  's3:AbortMultipartUpload',
  's3:DeleteObject',
  's3:DeleteObjectVersion',
  's3:GetObject',
  's3:GetObjectVersion',
  's3:PutObject',
];

/** S3 asks for the key's use on behalf of who writes or reads an object. */
export const REGISTRY_KEY_ACTIONS: readonly string[] = ['kms:Decrypt', 'kms:GenerateDataKey'];

export const INFERENCE_OBJECT_ACTIONS: readonly string[] = ['s3:GetObject', 's3:GetObjectVersion'];

export const INFERENCE_KEY_ACTIONS: readonly string[] = ['kms:Decrypt'];
