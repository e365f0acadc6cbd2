import { CfnOutput, Stack } from 'aws-cdk-lib';
import { IpAddresses, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { InstanceProfile, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { ModelStore } from './model-store.ts';
import { addStoreEndpoints } from './store-endpoints.ts';

/**
 * An example to start from: a store, a network of two zones with its own way to it, and a role for each service, for machines of
 * EC2 to run them. It has no assets, so its template is all that CloudFormation needs.
 */
export class ExampleStack extends Stack {
  constructor(scope: Construct, id: string) {
    super(scope, id, { description: 'MaskTerial models: store, network and roles' });
    const store = new ModelStore(this, 'Store');
    const vpc = new Vpc(this, 'Network', {
      ipAddresses: IpAddresses.cidr('10.60.0.0/16'),
      maxAzs: 2,
      natGateways: 0,
      // Without a NAT gateway, which costs more than all the rest.
      subnetConfiguration: [{ name: 'services', subnetType: SubnetType.PUBLIC, cidrMask: 20, mapPublicIpOnLaunch: false }],
    });
    addStoreEndpoints(vpc);

    const assumedBy = new ServicePrincipal('ec2.amazonaws.com');
    const registry = new Role(this, 'Registry', { assumedBy, description: 'The registry of models' });
    const inference = new Role(this, 'Inference', { assumedBy, description: 'Inference servers' });
    store.grantRegistry(registry);
    store.grantInference(inference);

    for (const [name, value] of Object.entries({
      ModelsS3Bucket: store.bucket.bucketName,
      ModelsTable: store.table.tableName,
      Network: vpc.vpcId,
      RegistryProfile: new InstanceProfile(this, 'RegistryProfile', { role: registry }).instanceProfileName,
      InferenceProfile: new InstanceProfile(this, 'InferenceProfile', { role: inference }).instanceProfileName,
    })) {
      new CfnOutput(this, `${name}Output`, { key: name, value });
    }
  }
}
