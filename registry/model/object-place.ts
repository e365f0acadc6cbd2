/** An object of a bucket as it was stored: for operators, and for readers that fetch exactly this one. */
export interface ObjectPlace {
  readonly bucket: string;
  readonly key: string;
  /** Empty where the bucket is not versioned. */
  readonly versionId: string;
  readonly etag: string;
  /** The bucket's own checksum, such as the base64 of a SHA-256; with `-<parts>` behind it where it is one of the parts' checksums. */
  readonly checksum: string;
}
