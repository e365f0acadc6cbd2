import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { s3LayoutOf } from '../../registry/adapters/aws/s3-layout.ts';
import { ModelBucket } from './model-bucket.ts';
import { ModelTable } from './model-table.ts';
import {
  INFERENCE_KEY_ACTIONS,
  INFERENCE_OBJECT_ACTIONS,
  REGISTRY_BUCKET_ACTIONS,
  REGISTRY_KEY_ACTIONS,
  REGISTRY_OBJECT_ACTIONS,
  REGISTRY_TABLE_ACTIONS,
} from './permissions.ts';

export interface ModelStoreProps {
  readonly bucketName?: string;
  readonly tableName?: string;
  /** Before every key of the bucket; the services' MODELS_S3_PREFIX. */
  readonly prefix?: string;
  /** What the files are encrypted with; S3's own keys where there is none. */
  readonly encryptionKey?: IKey;
}

/**
 * Where a registry on AWS keeps everything: a table for the catalog and a bucket for the files, with the permissions of the
 * services as grants. Publishers and operators get none: they send bytes and wishes to the registry.
 */
export class ModelStore extends Construct {
  readonly bucket: ModelBucket;
  readonly table: ModelTable;
  /** What the registry's environment has to say of this store. */
  readonly environment: Readonly<Record<string, string>>;
  readonly #layout: ReturnType<typeof s3LayoutOf>;
  readonly #key: IKey | undefined;

  /** @throws Error for a prefix that the registry would refuse. */
  constructor(scope: Construct, id: string, { bucketName, tableName, prefix = '', encryptionKey }: ModelStoreProps = {}) {
    super(scope, id);
    const root = parsePrefix(prefix);
    this.bucket = new ModelBucket(this, 'Bucket', {
      ...(bucketName !== undefined && { bucketName }),
      ...(encryptionKey !== undefined && { encryptionKey }),
    });
    this.table = new ModelTable(this, 'Table', tableName === undefined ? {} : { tableName });
    this.environment = {
      MODELS_S3_BUCKET: this.bucket.bucketName,
      MODELS_TABLE: this.table.tableName,
      ...(root !== '' && { MODELS_S3_PREFIX: root }),
    };
    this.#layout = s3LayoutOf(root);
    this.#key = encryptionKey;
  }

  /** The table's items, the bucket's lists, and the objects that the registry keeps there. */
  grantRegistry(grantee: IGrantable): void {
    const { blobs, partials, setAside } = this.#layout;
    grant(grantee, REGISTRY_TABLE_ACTIONS, [this.table.tableArn]);
    // No condition on the prefix: with one, a missing object would be answered as a forbidden one again.
    grant(grantee, REGISTRY_BUCKET_ACTIONS, [this.bucket.bucketArn]);
    grant(grantee, REGISTRY_OBJECT_ACTIONS, [this.#objects(blobs), this.#objects(partials), this.#objects(setAside)]);
    this.#grantKey(grantee, REGISTRY_KEY_ACTIONS);
  }

  /** Reading finished files, and nothing else. An inference server without it fetches through the registry. */
  grantInference(grantee: IGrantable): void {
    grant(grantee, INFERENCE_OBJECT_ACTIONS, [this.#objects(this.#layout.blobs)]);
    this.#grantKey(grantee, INFERENCE_KEY_ACTIONS);
  }

  #objects(prefix: string): string {
    return this.bucket.arnForObjects(`${prefix}*`);
  }

  #grantKey(grantee: IGrantable, actions: readonly string[]): void {
    if (this.#key !== undefined) {
      grant(grantee, actions, [this.#key.keyArn]);
    }
  }
}

/** To the principal's own policy. One that has none is an error, not a grant that is missing later. */
function grant(grantee: IGrantable, actions: readonly string[], resourceArns: string[]): void {
  Grant.addToPrincipal({ grantee, actions: [...actions], resourceArns }).assertSuccess();
}

/** The registry's own rule for MODELS_S3_PREFIX. A `*` or `?` in it would widen every grant. */
function parsePrefix(prefix: string): string {
  const trimmed = prefix.replace(/^\/+|\/+$/g, '');
  if (!/^[\w.=/-]{0,255}$/.test(trimmed)) {
    throw new Error(`prefix: expected at most 255 of [A-Za-z0-9_.=/-], found "${trimmed}"`);
  }
  return trimmed;
}
