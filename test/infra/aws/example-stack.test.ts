import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { CfnResource } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { createExampleApp } from '../../../infra/aws/example-app.ts';
import { allStatements, statementsOf, tooWide } from '../../support/aws/policy-statements.ts';

const folder = mkdtempSync(join(tmpdir(), 'example-stack-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const { app, stack } = createExampleApp({ outFolder: join(folder, 'example') });
app.synth();
const text = readFileSync(join(folder, 'example', stack.templateFile), 'utf8');
const template = Template.fromJSON(JSON.parse(text));

it('keeps to CloudFormation’s schemas', () => {
  const report = JSON.parse(readFileSync(join(folder, 'example', 'validation-report.json'), 'utf8')) as {
    pluginReports: unknown[];
  };
  assert.deepEqual(report.pluginReports, []);
});

it('fails where a template breaks them', (t) => {
  t.mock.method(console, 'error', () => undefined);
  const broken = createExampleApp({ outFolder: join(folder, 'broken') });
  const wrong = new CfnResource(broken.stack, 'Wrong', {
    type: 'AWS::S3::Bucket',
    properties: { VersioningConfiguration: 'On' },
  });
  assert.equal(wrong.cfnResourceType, 'AWS::S3::Bucket');
  assert.throws(() => broken.app.synth(), /[Vv]alidation/);
});

it('names no account and no region, and needs no prepared account', () => {
  assert.deepEqual(text.match(/(?<!\d)\d{12}(?!\d)|[a-z]{2}-[a-z]+-\d/g), null);
  assert.deepEqual(Object.keys(JSON.parse(text) as object).toSorted(), ['Description', 'Outputs', 'Resources']);
});

it('sends what goes to S3 and DynamoDB from every subnet through an endpoint of the network', () => {
  const tables = Object.keys(template.findResources('AWS::EC2::RouteTable'));
  assert.equal(tables.length, 2);
  assert.equal(Object.keys(template.findResources('AWS::EC2::Subnet')).length, 2);
  for (const service of ['s3', 'dynamodb']) {
    template.hasResourceProperties('AWS::EC2::VPCEndpoint', {
      VpcEndpointType: 'Gateway',
      ServiceName: { 'Fn::Join': ['', ['com.amazonaws.', { Ref: 'AWS::Region' }, `.${service}`]] },
      RouteTableIds: tables.map((name) => ({ Ref: name })),
    });
  }
  template.resourceCountIs('AWS::EC2::VPCEndpoint', 2);
  template.resourceCountIs('AWS::EC2::NatGateway', 0);
});

it('has a role for each service, and rights for nobody else', () => {
  const roles = Object.keys(template.findResources('AWS::IAM::Role'));
  assert.deepEqual(
    roles.map((name) => name.replace(/[0-9A-F]{8}$/, '')),
    ['Registry', 'Inference'],
  );
  template.allResourcesProperties('AWS::IAM::Role', {
    AssumeRolePolicyDocument: {
      Statement: [{ Action: 'sts:AssumeRole', Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' } }],
    },
  });
  const statements = allStatements(template, 'AWS::IAM::Policy');
  assert.equal(statementsOf(template, 'Registry').length + statementsOf(template, 'Inference').length, statements.length);
  assert.deepEqual(tooWide(statements), []);
});

it('says what the services’ settings and machines need', () => {
  const names = ['ModelsS3Bucket', 'ModelsTable', 'Network', 'RegistryProfile', 'InferenceProfile'];
  assert.deepEqual(Object.keys(template.findOutputs('*')).toSorted(), names.toSorted());
});
