import { RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, BillingMode, Table } from 'aws-cdk-lib/aws-dynamodb';
import type { Construct } from 'constructs';
import { TABLE_DEFINITION } from '../../registry/adapters/aws/table-definition.ts';

export interface ModelTableProps {
  /** Chosen by CloudFormation where there is none. */
  readonly tableName?: string;
}

/** The catalog's table, by the definition that `maskterial setup` creates one from; kept when its stack is deleted. */
export class ModelTable extends Table {
  constructor(scope: Construct, id: string, { tableName }: ModelTableProps = {}) {
    super(scope, id, {
      ...(tableName !== undefined && { tableName }),
      partitionKey: { name: TABLE_DEFINITION.partitionKey, type: AttributeType.STRING },
      sortKey: { name: TABLE_DEFINITION.sortKey, type: AttributeType.STRING },
      billingMode: BillingMode[TABLE_DEFINITION.billingMode],
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: TABLE_DEFINITION.hasPointInTimeRecovery },
      timeToLiveAttribute: TABLE_DEFINITION.timeToLive,
      deletionProtection: TABLE_DEFINITION.hasDeletionProtection,
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }
}
