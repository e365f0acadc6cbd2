import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';

export interface ModelBucketProps {
  /** Chosen by CloudFormation where there is none. */
  readonly bucketName?: string;
  /** What objects are encrypted with; S3's own keys where there is none. */
  readonly encryptionKey?: IKey;
}

/** As long as the registry keeps an unfinished upload for whoever resumes it. */
const ABANDONED_UPLOAD_DAYS = 7;
/** For putting back what was removed by mistake; a registry's own clean-up removes versions too where nothing needs them. */
const NON_CURRENT_DAYS = 30;

/** The bucket for the registry's files: private, encrypted, over TLS alone, versioned, and kept when its stack is deleted. */
export class ModelBucket extends Bucket {
  constructor(scope: Construct, id: string, { bucketName, encryptionKey }: ModelBucketProps = {}) {
    super(scope, id, {
      ...(bucketName !== undefined && { bucketName }),
      ...(encryptionKey === undefined
        ? { encryption: BucketEncryption.S3_MANAGED }
        : { encryption: BucketEncryption.KMS, encryptionKey, bucketKeyEnabled: true }),
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      versioned: true,
      lifecycleRules: [
        {
          id: 'abandoned-uploads',
          abortIncompleteMultipartUploadAfter: Duration.days(ABANDONED_UPLOAD_DAYS),
        },
        {
          id: 'non-current-versions',
          noncurrentVersionExpiration: Duration.days(NON_CURRENT_DAYS),
          // The mark that an object was deleted, once nothing is behind it.
          expiredObjectDeleteMarker: true,
        },
      ],
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }
}
