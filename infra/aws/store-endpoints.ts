import { type GatewayVpcEndpoint, GatewayVpcEndpointAwsService, type IVpc } from 'aws-cdk-lib/aws-ec2';

export interface StoreEndpoints {
  readonly s3: GatewayVpcEndpoint;
  readonly dynamo: GatewayVpcEndpoint;
}

/**
 * A network's own way to S3 and DynamoDB, from all of its subnets: free of charge, and without the internet. The endpoints carry
 * no policy of their own: what a service may do is in its role, and other programs of the network use the endpoints too.
 */
export function addStoreEndpoints(vpc: Pick<IVpc, 'addGatewayEndpoint'>): StoreEndpoints {
  return {
    s3: vpc.addGatewayEndpoint('S3', { service: GatewayVpcEndpointAwsService.S3 }),
    dynamo: vpc.addGatewayEndpoint('DynamoDb', { service: GatewayVpcEndpointAwsService.DYNAMODB }),
  };
}
