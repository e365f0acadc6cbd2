import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import {
  INFERENCE_OBJECT_ACTIONS,
  REGISTRY_BUCKET_ACTIONS,
  REGISTRY_OBJECT_ACTIONS,
  REGISTRY_TABLE_ACTIONS,
} from '../../../infra/aws/permissions.ts';
import { repositoryRoot } from '../../support/reference-data.ts';

/** The actions that AWS asks for at each request. A request of one object version needs the second one of those of `GetObject`. */
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  AbortMultipartUpload: ['s3:AbortMultipartUpload'],
  BatchGetItem: ['dynamodb:BatchGetItem'],
  CompleteMultipartUpload: ['s3:PutObject'],
  CopyObject: ['s3:GetObject', 's3:PutObject'],
  CreateMultipartUpload: ['s3:PutObject'],
  DeleteItem: ['dynamodb:DeleteItem'],
  DeleteObject: ['s3:DeleteObject'],
  DeleteObjects: ['s3:DeleteObject', 's3:DeleteObjectVersion'],
  GetItem: ['dynamodb:GetItem'],
  GetObject: ['s3:GetObject'],
  HeadBucket: ['s3:ListBucket'],
  HeadObject: ['s3:GetObject', 's3:ListBucket'],
  ListMultipartUploads: ['s3:ListBucketMultipartUploads'],
  ListObjectVersions: ['s3:ListBucketVersions'],
  ListObjectsV2: ['s3:ListBucket'],
  PutItem: ['dynamodb:PutItem'],
  PutObject: ['s3:PutObject'],
  Query: ['dynamodb:Query'],
  UpdateItem: ['dynamodb:UpdateItem'],
  UploadPartCopy: ['s3:GetObject', 's3:PutObject'],
  // A transaction needs what its writes need.
  TransactWriteItems: [],
  'transaction ConditionCheck': ['dynamodb:ConditionCheckItem'],
  'transaction Delete': ['dynamodb:DeleteItem'],
  'transaction Put': ['dynamodb:PutItem'],
  'transaction Update': ['dynamodb:UpdateItem'],
};

/** What only `maskterial setup` sends, for the operator. */
const SETUP_FILES = new Set(['create-table.ts', 'set-up.ts']);

it('the registry may do what its requests need, and no more', () => {
  const folder = join(repositoryRoot, 'registry', 'adapters', 'aws');
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts') && !SETUP_FILES.has(name));
  const granted = [...REGISTRY_TABLE_ACTIONS, ...REGISTRY_BUCKET_ACTIONS, ...REGISTRY_OBJECT_ACTIONS];
  assert.deepEqual(neededBy(files.map((name) => join(folder, name))), granted.toSorted());
});

it('inference may do what its requests need, of one object version, and no more', () => {
  const needed = neededBy([join(repositoryRoot, 'inference', 'adapters', 's3-source.ts')]);
  assert.deepEqual(needed, ['s3:GetObject']);
  assert.deepEqual(INFERENCE_OBJECT_ACTIONS, ['s3:GetObject', 's3:GetObjectVersion']);
});

/** The actions behind the requests that the files make. */
function neededBy(paths: readonly string[]): string[] {
  const requests = paths.flatMap((path) => {
    const text = readFileSync(path, 'utf8');
    return [
      ...[...text.matchAll(/new (\w+)Command\(/g)].map(([, name = '']) => name),
      ...[...text.matchAll(/\b(ConditionCheck|Delete|Put|Update): \{\s*TableName\b/g)].map(
        ([, name = '']) => `transaction ${name}`,
      ),
    ];
  });
  const unknown = requests.filter((name) => ACTIONS[name] === undefined);
  assert.deepEqual(unknown, [], 'requests whose permissions are not written here');
  return [...new Set(requests.flatMap((name) => ACTIONS[name] ?? []))].toSorted();
}
