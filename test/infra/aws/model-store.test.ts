import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { ModelStore, type ModelStoreProps } from '../../../infra/aws/model-store.ts';
import { REGISTRY_BUCKET_ACTIONS, REGISTRY_OBJECT_ACTIONS, REGISTRY_TABLE_ACTIONS } from '../../../infra/aws/permissions.ts';
import { createTable } from '../../../registry/adapters/aws/create-table.ts';
import type { DynamoSender } from '../../../registry/adapters/aws/dynamo-table.ts';
import { readRegistryConfig } from '../../../registry/config.ts';
import { FakeClient, instantPace } from '../../support/aws/fake-client.ts';
import { allStatements, statementsOf, tooWide } from '../../support/aws/policy-statements.ts';
import { never } from '../../support/registry/publish.ts';

/** A stack with a store and a role for each service. The example's test checks a whole template against CloudFormation's schemas. */
function synthesise(props: ModelStoreProps = {}, { hasKey = false } = {}) {
  const stack = new Stack(new App({ analyticsReporting: false, builtinCloudFormationValidation: false }), 'Test');
  const encryption = hasKey ? { encryptionKey: new Key(stack, 'Key') } : {};
  const store = new ModelStore(stack, 'Store', { ...props, ...encryption });
  const assumedBy = new ServicePrincipal('ec2.amazonaws.com');
  store.grantRegistry(new Role(stack, 'Registry', { assumedBy }));
  store.grantInference(new Role(stack, 'Inference', { assumedBy }));
  return { stack, store, template: Template.fromStack(stack) };
}

const { template, stack, store } = synthesise();
const [bucket = ''] = Object.keys(template.findResources('AWS::S3::Bucket'));
const [table = ''] = Object.keys(template.findResources('AWS::DynamoDB::Table'));
const bucketArn = `\${${bucket}.Arn}`;
const tableArn = `\${${table}.Arn}`;

function allow(actions: readonly string[], resources: readonly string[]) {
  return { effect: 'Allow', actions, resources, condition: undefined };
}

describe('the bucket', () => {
  it('is private, encrypted and versioned', () => {
    template.hasResourceProperties('AWS::S3::Bucket', {
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
      },
      VersioningConfiguration: { Status: 'Enabled' },
    });
  });

  it('refuses whoever comes without TLS, and allows nobody anything', () => {
    assert.deepEqual(allStatements(template, 'AWS::S3::BucketPolicy'), [
      {
        effect: 'Deny',
        actions: ['s3:*'],
        resources: [bucketArn, `${bucketArn}/*`],
        condition: { Bool: { 'aws:SecureTransport': 'false' } },
      },
    ]);
  });

  it('removes abandoned uploads after a week and non-current versions after 30 days, and no current one', () => {
    const [found] = Object.values(template.findResources('AWS::S3::Bucket', { Properties: { LifecycleConfiguration: {} } }));
    assert.deepEqual(found?.['Properties'].LifecycleConfiguration.Rules, [
      { Id: 'abandoned-uploads', AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 }, Status: 'Enabled' },
      {
        Id: 'non-current-versions',
        ExpiredObjectDeleteMarker: true,
        NoncurrentVersionExpiration: { NoncurrentDays: 30 },
        Status: 'Enabled',
      },
    ]);
  });

  it('outlives its stack, as the table does', () => {
    for (const type of ['AWS::S3::Bucket', 'AWS::DynamoDB::Table']) {
      template.hasResource(type, { DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
    }
  });

  it('is encrypted with the key that is given', () => {
    const { template: withKey } = synthesise({}, { hasKey: true });
    const [key = ''] = Object.keys(withKey.findResources('AWS::KMS::Key'));
    withKey.hasResourceProperties('AWS::S3::Bucket', {
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          {
            BucketKeyEnabled: true,
            ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: { 'Fn::GetAtt': [key, 'Arn'] } },
          },
        ],
      },
    });
    const keyArn = `\${${key}.Arn}`;
    assert.deepEqual(statementsOf(withKey, 'Registry').at(-1), allow(['kms:Decrypt', 'kms:GenerateDataKey'], [keyArn]));
    assert.deepEqual(statementsOf(withKey, 'Inference').at(-1), allow(['kms:Decrypt'], [keyArn]));
    assert.deepEqual(tooWide(allStatements(withKey, 'AWS::IAM::Policy')), []);
  });
});

describe('the table', () => {
  it('is what `maskterial setup` creates', async () => {
    const { TableName: _, ...created } = await createdBySetup();
    const [found] = Object.values(template.findResources('AWS::DynamoDB::Table'));
    assert.deepEqual(found?.['Properties'], created);
  });

  it('is paid by request, recoverable, and not to be deleted by mistake', () => {
    template.hasResourceProperties('AWS::DynamoDB::Table', {
      BillingMode: 'PAY_PER_REQUEST',
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      DeletionProtectionEnabled: true,
      TimeToLiveSpecification: { Enabled: true, AttributeName: 'expires' },
    });
  });
});

describe('the grants', () => {
  it('give the registry what its requests need, as another test compares them', () => {
    assert.deepEqual(statementsOf(template, 'Registry'), [
      allow(REGISTRY_TABLE_ACTIONS, [tableArn]),
      allow(REGISTRY_BUCKET_ACTIONS, [bucketArn]),
      allow(REGISTRY_OBJECT_ACTIONS, [`${bucketArn}/aside/*`, `${bucketArn}/blobs/*`, `${bucketArn}/partials/*`]),
    ]);
  });

  it('let inference read finished files: it cannot write, list, or touch the table', () => {
    assert.deepEqual(statementsOf(template, 'Inference'), [
      allow(['s3:GetObject', 's3:GetObjectVersion'], [`${bucketArn}/blobs/*`]),
    ]);
  });

  it('keep to the prefix', () => {
    const { template: prefixed } = synthesise({ prefix: '/lab/models/' });
    assert.deepEqual(statementsOf(prefixed, 'Registry').at(-1)?.resources, [
      `${bucketArn}/lab/models/aside/*`,
      `${bucketArn}/lab/models/blobs/*`,
      `${bucketArn}/lab/models/partials/*`,
    ]);
    assert.deepEqual(statementsOf(prefixed, 'Inference')[0]?.resources, [`${bucketArn}/lab/models/blobs/*`]);
  });

  it('hold no wildcard but that for what lies in a folder', () => {
    assert.deepEqual(tooWide(allStatements(template, 'AWS::IAM::Policy')), []);
    const wide = { effect: 'Allow', actions: ['s3:Get*', 's3:GetObject'], resources: ['*', `${bucketArn}/*`, 'a*/blobs/*'] };
    assert.deepEqual(tooWide([{ ...wide, condition: undefined }]), ['s3:Get*', '*', `${bucketArn}/*`, 'a*/blobs/*']);
  });

  it('are an error for whom no policy can be attached to', () => {
    const { store: other } = synthesise();
    const nobody = new ServicePrincipal('ec2.amazonaws.com');
    assert.throws(() => other.grantInference(nobody), /could not be added/);
    assert.throws(() => other.grantRegistry(nobody), /could not be added/);
  });
});

describe('the environment', () => {
  it('is what the registry reads', () => {
    const env = stack.resolve(
      synthesise({ bucketName: 'my-lab-models', tableName: 'my-models', prefix: 'lab' }).store.environment,
    );
    assert.deepEqual(Object.keys(env), ['MODELS_S3_BUCKET', 'MODELS_TABLE', 'MODELS_S3_PREFIX']);
    assert.deepEqual(Object.keys(store.environment), ['MODELS_S3_BUCKET', 'MODELS_TABLE']);
    const { aws } = readRegistryConfig({ ...env, MODELS_S3_BUCKET: 'my-lab-models', MODELS_TABLE: 'my-models' });
    assert.deepEqual([aws?.bucket, aws?.table, aws?.prefix], ['my-lab-models', 'my-models', 'lab']);
  });

  it('refuses the prefixes that the registry refuses', () => {
    for (const prefix of [
      '',
      'lab',
      '/lab/models/',
      'a=b.c-d_e',
      'x'.repeat(255),
      'x'.repeat(256),
      'a*',
      '?',
      'a b',
      'ä',
      '${x}',
    ]) {
      const isRefused = fails(() => readRegistryConfig({ MODELS_S3_BUCKET: 'my-lab-models', MODELS_S3_PREFIX: prefix }));
      assert.equal(
        fails(() => new ModelStore(new Stack(), 'Store', { prefix })),
        isRefused,
        prefix,
      );
    }
  });
});

/** What `maskterial setup` asks of DynamoDB, put together. */
async function createdBySetup(): Promise<Readonly<Record<string, unknown>>> {
  const client = new FakeClient(({ name }) =>
    name === 'DescribeTable' ? { Table: { KeySchema: client.sent[0]?.input['KeySchema'], TableStatus: 'ACTIVE' } } : {},
  );
  await createTable(client as unknown as DynamoSender, instantPace(), 'models', never);
  return Object.assign({}, ...client.sent.map(({ input }) => input)) as Record<string, unknown>;
}

function fails(action: () => unknown): boolean {
  try {
    action();
    return false;
  } catch {
    return true;
  }
}
