/** Where on AWS a registry keeps its catalog and its blobs. */
export interface AwsSettings {
  readonly region: string;
  readonly table: string;
  readonly bucket: string;
  /** Before every key, without slashes at its ends; empty for none. */
  readonly prefix: string;
  /** The key that new objects are encrypted with; undefined for the bucket's own choice. */
  readonly kmsKeyId: string | undefined;
  /** Other servers than AWS's, such as local ones. A bucket is then named in the path, not in the host. */
  readonly dynamoEndpoint: string | undefined;
  readonly s3Endpoint: string | undefined;
}
